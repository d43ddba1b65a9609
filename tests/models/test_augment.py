import numpy as np
import pytest
import torch

from models import augment
from models.augment import STRONG, noisy, normalise, soften, weak
from models.stain import StainVectors, optical_density


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_weak_keeps_image_and_mask_together():
    image = torch.arange(3 * 40 * 50, dtype=torch.float32).view(3, 40, 50)
    seen = set()
    for seed in range(40):
        crop, mask = weak(image, image[0], 16, generator(seed))
        assert crop.shape == (3, 16, 16)
        assert torch.equal(crop[0], mask)
        steps = (int(mask[0, 1] - mask[0, 0]), int(mask[1, 0] - mask[0, 0]))
        seen.add(steps)
    # the eight ways to lay a square: each has its own steps along row and column
    assert seen == {(a, b) for a, b in [(1, 50), (50, 1)] for a, b in [(a, b), (-a, b)]} | {
        (1, -50),
        (-1, -50),
        (50, -1),
        (-50, -1),
    }


def test_every_place_of_an_image_can_be_drawn():
    image = torch.arange(400.0).view(1, 20, 20).expand(3, 20, 20)
    corners = {float(weak(image, image[0], 19, generator(s))[0].min()) for s in range(60)}
    assert corners == {0.0, 1.0, 20.0, 21.0}


@pytest.mark.parametrize("name", sorted(STRONG))
def test_strong_views_differ_by_draw_and_repeat_by_seed(name):
    images = torch.rand(3, 3, 24, 24, generator=generator())
    first, again, other = (STRONG[name](images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert first.isfinite().all()
    assert first.min() >= 0
    assert first.max() <= 1.0001


@pytest.mark.parametrize("name", sorted(STRONG))
def test_strong_views_leave_pixels_in_place(name):
    images = torch.full((1, 3, 31, 31), 0.9)
    images[:, :, 15, 15] = 0.1
    for seed in range(8):
        view = STRONG[name](images, generator(seed))[0].mean(0)
        contrast = (view - view[0, 0]).abs()
        assert int(contrast.argmax()) == 15 * 31 + 15


def test_stain_jitter_keeps_brown_brown_and_blue_blue():
    stains = StainVectors()
    densities = {
        "haematoxylin": 0.5 * np.asarray(stains.haematoxylin),
        "dab": 0.5 * np.asarray(stains.dab),
    }
    amounts = []
    for density in densities.values():
        colour = torch.tensor(10.0 ** -(density / np.linalg.norm(density)), dtype=torch.float32)
        images = colour.view(1, 3, 1, 1).expand(40, 3, 8, 8)
        views = augment.stain_jitter(images, generator())
        pixels = (views[:, :, 4, 4] * 255).round().clamp(1, 255).to(torch.uint8).numpy()
        unmixed = optical_density(pixels[:, None], (255.0, 255.0, 255.0)) @ stains.unmixing()
        amounts.append(unmixed[:, 0, :2])
    blue, brown = amounts
    assert (blue[:, 0] > blue[:, 1]).all()
    assert (brown[:, 1] > brown[:, 0]).all()
    assert brown[:, 1].std() > 0.02, "it jitters"


def test_noise_is_clipped():
    noise = noisy(torch.zeros(4, 3, 64, 64), generator())
    assert noise.abs().max() <= 0.2
    assert float(noise.std()) == pytest.approx(0.095, abs=0.01)


def test_soften_keeps_flat_colour_and_blurs_an_edge():
    images = torch.ones(2, 3, 9, 9) * 0.7
    torch.testing.assert_close(soften(images, generator()), images)
    images[..., 5:] = 0.0
    blurred = soften(images, generator())
    assert torch.equal(blurred[..., :3], images[..., :3]) or torch.allclose(
        blurred[..., :3], images[..., :3]
    )
    assert (blurred[..., 4] < 0.7).all()


def test_normalise():
    grey = normalise(torch.full((1, 3, 1, 1), 0.5)).flatten()
    torch.testing.assert_close(grey, torch.tensor([0.015 / 0.229, 0.044 / 0.224, 0.094 / 0.225]))
