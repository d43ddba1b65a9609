"""Augmentation: weak (geometry, labels follow) and strong (looks only, pixels stay in place).

All randomness comes from the generator passed in, so a step that is repeated after a restart
sees the same images.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as colour

from models.stain import StainVectors

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
NOISE_SD, NOISE_LIMIT = 0.1, 0.2


def normalise(images: Tensor) -> Tensor:
    """Images in 0..1 to the units that ImageNet encoders were trained in."""
    mean, std = images.new_tensor(MEAN), images.new_tensor(STD)
    return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def uniform(generator: Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def whole(generator: Generator, below: int) -> int:
    return int(torch.randint(below, (), generator=generator))


def weak(image: Tensor, mask: Tensor, side: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Crop, flip and turn by quarters: image (3, H, W), mask (H, W) -> both `side` px square."""
    top = whole(generator, image.shape[-2] - side + 1)
    left = whole(generator, image.shape[-1] - side + 1)
    turns, flip = whole(generator, 4), bool(whole(generator, 2))
    moved = []
    for each in (image, mask):
        crop = each[..., top : top + side, left : left + side]
        crop = torch.rot90(crop, turns, (-2, -1))
        moved.append(crop.flip(-1) if flip else crop)
    return moved[0], moved[1]


def stain_jitter(images: Tensor, generator: Generator) -> Tensor:
    """Strong view that keeps what the label means: brown stays brown.

    Scales and shifts haematoxylin and DAB in optical density, then brightness, contrast and
    blur. images: float (B, 3, H, W) in 0..1 (after Tellez et al., Medical Image Analysis 58, 2019).
    """
    unmixing = torch.from_numpy(StainVectors().unmixing()).to(images.dtype)
    density = -torch.log10(images.clamp(min=1 / 255))
    amounts = torch.einsum("bchw,ck->bkhw", density, unmixing)
    batch = len(images)
    scale = torch.ones(batch, 3, 1, 1)
    shift = torch.zeros(batch, 3, 1, 1)
    scale[:, :2] = uniform(generator, 0.7, 1.35, batch, 2, 1, 1)
    shift[:, :2] = uniform(generator, -0.03, 0.03, batch, 2, 1, 1)
    density = torch.einsum("bkhw,kc->bchw", amounts * scale + shift, unmixing.inverse())
    views = torch.pow(10.0, -density)
    contrast = uniform(generator, 0.85, 1.15, batch, 1, 1, 1)
    brightness = uniform(generator, -0.05, 0.05, batch, 1, 1, 1)
    mean = views.mean((1, 2, 3), keepdim=True)
    views = ((views - mean) * contrast + mean + brightness).clamp(0, 1)
    return soften(views, generator)


def colour_jitter(images: Tensor, generator: Generator) -> Tensor:
    """The strong view of UCMT's code: colour jitter, posterise, auto-contrast, equalise, blur."""
    views = []
    for image in images:
        view = image
        for adjust in (colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation):
            view = adjust(view, float(uniform(generator, 0.5, 1.5)))
        view = colour.adjust_hue(view, float(uniform(generator, -0.25, 0.25)))
        choices = (lambda v: colour.posterize(v, 5), colour.autocontrast, colour.equalize)
        for change in choices:
            if float(uniform(generator, 0, 1)) < 0.2:
                eight_bit = (view.clamp(0, 1) * 255).to(torch.uint8)
                view = change(eight_bit).to(image.dtype) / 255
        views.append(view)
    return soften(torch.stack(views), generator)


def soften(images: Tensor, generator: Generator) -> Tensor:
    """Blur each image by a 3 px Gaussian of its own width, sigma 0.1 to 1.2 px."""
    sigma = uniform(generator, 0.1, 1.2, len(images), 1)
    edge = torch.exp(-0.5 / sigma**2)
    line = torch.cat([edge, torch.ones_like(edge), edge], 1)
    line = line / line.sum(1, keepdim=True)
    kernels = torch.einsum("bi,bj->bij", line, line).unsqueeze(1).repeat_interleave(3, 0)
    batch, channels, height, width = images.shape
    stacked = F.pad(images, (1, 1, 1, 1), mode="replicate").reshape(
        1, batch * channels, height + 2, width + 2
    )
    return F.conv2d(stacked, kernels, groups=batch * channels).view(images.shape)


def noisy(images: Tensor, generator: Generator) -> Tensor:
    """Add clipped Gaussian noise, in normalised units (AC-MT's)."""
    noise = torch.randn(images.shape, generator=generator) * NOISE_SD
    return images + noise.clamp(-NOISE_LIMIT, NOISE_LIMIT).to(images.device)


STRONG = {"stain": stain_jitter, "colour": colour_jitter}
