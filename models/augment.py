"""Augmentation: weak (geometry, labels follow) and strong (looks only, pixels stay in place).

All randomness comes from the generator passed in, so a step that is repeated after a restart
sees the same images.
"""

import math

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
    batch = len(images)
    scale = torch.ones(batch, 3)
    shift = torch.zeros(batch, 1, 3)
    scale[:, :2] = uniform(generator, 0.7, 1.35, batch, 2)
    shift[:, 0, :2] = uniform(generator, -0.03, 0.03, batch, 2)
    contrast = uniform(generator, 0.85, 1.15, batch, 1, 1, 1)
    brightness = uniform(generator, -0.05, 0.05, batch, 1, 1, 1)
    unmixing = torch.from_numpy(StainVectors().unmixing())
    views = restained(images, unmixing, scale, shift, unmixing.inverse())
    return soften(lit(views, contrast, brightness), generator)


def restained(
    images: Tensor, unmixing: Tensor, scale: Tensor, shift: Tensor, mixing: Tensor
) -> Tensor:
    """Scale and shift the amounts of an image's stains, and show them in the colours of `mixing`.

    images: (B, 3, H, W) in 0..1; scale (B, 3), shift (B, 1, 3), densities log10; mixing: (3, 3) or
    one for each image.
    """
    # densities to amounts, scaled and shifted, and back: one matrix and one offset an image,
    # and both logarithms natural instead of decadic
    turned = (unmixing * scale.unsqueeze(1)) @ mixing
    offset = -math.log(10) * (shift @ mixing)
    logarithms = images.clamp(min=1 / 255).log_().flatten(2)
    changed = torch.baddbmm(offset.mT, turned.mT, logarithms).view(images.shape)
    return changed.exp_()


def lit(views: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """Change contrast round each image's mean, then brightness, in place."""
    mean = views.mean((1, 2, 3), keepdim=True)
    return views.mul_(contrast).add_(mean * (1 - contrast) + brightness).clamp_(0, 1)


def laboratory_jitter(images: Tensor, generator: Generator) -> Tensor:
    """Strong view for images of laboratories that were never seen: stains, light and focus.

    As `stain_jitter`, but wider, and each image's two stains are turned away from the usual colours
    (by up to 0.1 of their length in each channel); then it is blurred, or sharpened as cameras do.
    """
    batch = len(images)
    scale = torch.ones(batch, 3)
    shift = torch.zeros(batch, 1, 3)
    scale[:, :2] = uniform(generator, 0.55, 1.6, batch, 2)
    shift[:, 0, :2] = uniform(generator, -0.05, 0.05, batch, 2)
    contrast = uniform(generator, 0.75, 1.25, batch, 1, 1, 1)
    brightness = uniform(generator, -0.08, 0.08, batch, 1, 1, 1)
    unmixing = torch.from_numpy(StainVectors().unmixing())
    mixing = unmixing.inverse().expand(batch, 3, 3).clone()
    mixing[:, :2] += uniform(generator, -0.1, 0.1, batch, 2, 3)
    views = lit(restained(images, unmixing, scale, shift, mixing), contrast, brightness)
    soft = soften(views, generator)
    # from the blurred image (0) through the image itself (1) to a sharpened one
    amount = uniform(generator, 0.0, 2.0, batch, 1, 1, 1)
    return torch.lerp(soft, views, amount).clamp_(0, 1)


def colour_jitter(images: Tensor, generator: Generator) -> Tensor:
    """The strong view of UCMT's code: colour jitter, posterise, auto-contrast, equalise, blur."""
    batch = len(images)
    brightness, contrast, saturation = uniform(generator, 0.5, 1.5, 3, batch, 1, 1, 1)
    turn = uniform(generator, -0.25, 0.25, batch, 1, 1)
    wanted = uniform(generator, 0, 1, batch, 3) < 0.2
    views = (images * brightness).clamp_(0, 1)
    grey = luminance(views).mean((1, 2, 3), keepdim=True)
    views = torch.lerp(grey, views, contrast).clamp_(0, 1)
    views = torch.lerp(luminance(views), views, saturation).clamp_(0, 1)
    views = turn_hue(views, turn)
    changes = (lambda v: colour.posterize(v, 5), colour.autocontrast, colour.equalize)
    for view, choices in zip(views, wanted.tolist(), strict=True):
        if any(choices):
            eight_bit = (view.clamp(0, 1) * 255).to(torch.uint8)
            for change, chosen in zip(changes, choices, strict=True):
                eight_bit = change(eight_bit) if chosen else eight_bit
            view.copy_(eight_bit).div_(255)
    return soften(views, generator, most=2.0)


def luminance(images: Tensor) -> Tensor:
    """Grey (B, 1, H, W) of RGB (B, 3, H, W) (ITU-R BT.601)."""
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of RGB (B, 3, H, W) by `turn` (B, 1, 1) of a circle; HSV's V and S stay.

    The way back from HSV is that of one formula for all six sectors: channel n is
    v - c max(0, min(k, 4 - k, 1)), k = (n + 6 hue) mod 6, with n = 5, 3, 1 for R, G, B.
    """
    red, green, blue = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    chroma = value - low
    scale = 1 / chroma.clamp(min=1e-9)
    sixths = torch.where(
        value == red,
        (green - blue) * scale,
        torch.where(value == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    places = torch.tensor([5.0, 3.0, 1.0]).view(3, 1, 1)
    place = (sixths + 6 * turn).unsqueeze(1).add(places).remainder_(6)
    share = torch.minimum(place, 4 - place).clamp_(0, 1)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * share


def soften(images: Tensor, generator: Generator, most: float = 1.2) -> Tensor:
    """Blur each image by a Gaussian of its own width, sigma 0.1 to `most` px.

    Thin membranes are gone beyond 1.2; UCMT's code goes to 2.
    """
    sigma = uniform(generator, 0.1, most, len(images), 1)
    reach = 1 if most <= 1.2 else math.ceil(2 * most)
    offsets = torch.arange(-reach, reach + 1)
    line = torch.exp(-0.5 * (offsets / sigma) ** 2)
    line = line / line.sum(1, keepdim=True)
    kernels = torch.einsum("bi,bj->bij", line, line).unsqueeze(1).repeat_interleave(3, 0)
    batch, channels, height, width = images.shape
    stacked = F.pad(images, (reach,) * 4, mode="replicate").reshape(
        1, batch * channels, height + 2 * reach, width + 2 * reach
    )
    return F.conv2d(stacked, kernels, groups=batch * channels).view(images.shape)


def noisy(images: Tensor, generator: Generator) -> Tensor:
    """Add clipped Gaussian noise, in normalised units (AC-MT's)."""
    noise = torch.randn(images.shape, generator=generator) * NOISE_SD
    return images + noise.clamp(-NOISE_LIMIT, NOISE_LIMIT).to(images.device)


STRONG = {"stain": stain_jitter, "laboratory": laboratory_jitter, "colour": colour_jitter}
