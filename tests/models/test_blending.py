"""Regions of any size: the same bits whoever asks for which part, and no seams."""

import numpy as np
import pytest
import torch

from models.blending import Piece, batched, blended, predict_region
from models.cold_start import ColdStart
from models.inference import TorchPredictor
from models.inference.windows import any_size
from models.networks import Ensemble, NetworkConfig, build
from models.phantom import PhantomSpec
from models.phantom.render import pixels
from models.prediction import PATCH_PX, Prediction
from models.tiling import BLENDED, EDGE_TO_EDGE, Box, Layout
from tests.models.test_inference_averaging import Pointwise, picture


class Anywhere(Pointwise):
    """Takes windows of any size, as a predictor of slides does."""

    def __call__(self, images):
        self.calls.append(images.shape[:3])
        probability = images[..., 0].astype(np.float32) / 255
        return Prediction(probability, np.stack([images[..., 1] > 99, images[..., 2] > 150]))


class Positional(Anywhere):
    """Goes by the place in the window alone: 0 at its left edge, 1 at its right."""

    def __call__(self, images):
        ramp = np.linspace(0, 1, images.shape[2], dtype=np.float32)
        probability = np.broadcast_to(ramp, images.shape[:3]).copy()
        return Prediction(probability, np.stack([probability > 0.3, probability > 0.7]))


def network(architecture="unet-small", encoder="resnet18"):
    torch.manual_seed(0)
    config = NetworkConfig(architecture, encoder)
    return TorchPredictor(Ensemble(config, build(config), (build(config),)))


@pytest.fixture(scope="module")
def tissue():
    """A field of 1,500 × 2,200 px: two rows of tiles, three columns."""
    spec = PhantomSpec(width=2200, height=1500, seed=4, her2="3+", tumour=1.0)
    image, _ = pixels(spec, 0, 0, spec.width, spec.height)
    return image


@pytest.mark.parametrize("tiling", [BLENDED, EDGE_TO_EDGE], ids=lambda tiling: tiling.name)
@pytest.mark.parametrize("size", [(1, 1), (256, 256), (100, 300), (257, 255), (1100, 2100)])
def test_a_region_is_what_its_pixels_are(size, tiling):
    """Any size, up to the last row and column."""
    image = picture(*size)
    seen = predict_region(Anywhere(), image, tiling=tiling)
    assert seen.probability.shape == (1, *size)
    np.testing.assert_allclose(seen.probability[0], image[..., 0] / np.float32(255), atol=1e-6)
    np.testing.assert_array_equal(
        seen.students[:, 0], np.moveaxis(image, 2, 0)[1:] > [[[99]], [[150]]]
    )


def test_edge_to_edge_a_region_is_its_patches():
    predictor = network()
    image = picture(PATCH_PX, 2 * PATCH_PX)
    seen = predict_region(predictor, image, tiling=EDGE_TO_EDGE)
    patches = predictor(np.stack([image[:, :PATCH_PX], image[:, PATCH_PX:]]))
    for index, x in enumerate((0, PATCH_PX)):
        box = np.s_[:, x : x + PATCH_PX]
        np.testing.assert_array_equal(seen.probability[0][box], patches.probability[index])
        np.testing.assert_array_equal(seen.students[:, 0][:, *box], patches.students[:, index])


def test_blending_leaves_no_seam():
    """Where two tiles say the opposite at their common edge, the blend goes over gently."""
    image = picture(PATCH_PX, 3 * BLENDED.step)

    def steepest(tiling):
        seen = predict_region(Positional(), image, tiling=tiling).probability[0]
        assert seen.min() >= 0
        assert seen.max() <= 1
        return np.abs(np.diff(seen, axis=1)).max()

    assert steepest(EDGE_TO_EDGE) == pytest.approx(1)
    assert steepest(BLENDED) < 1.1 / (BLENDED.overlap - 2 * BLENDED.rim)


@pytest.mark.parametrize("predictor", [ColdStart(), network()], ids=lambda each: each.backend[:6])
def test_a_part_has_the_bits_it_has_in_the_whole(tissue, predictor):
    """In any order of tiles, together with any others."""
    height, width = tissue.shape[:2]
    layout, area = Layout(width, height), Box(0, 0, height, width)
    whole = predict_region(predictor, tissue)
    for box in (Box(0, 0, 512, 700), Box(1020, 1020, 300, 300), Box(900, 1900, 600, 300)):
        tiles = layout.touching(box)[::-1]
        pieces = [
            Piece(layout, tile, seen, index).part(box)
            for some, seen in batched(
                predictor, layout, ((tile, tissue[layout.box(tile).within(area)]) for tile in tiles)
            )
            for index, tile in enumerate(some)
        ]
        part = blended(pieces, box)
        place = box.within(area)
        np.testing.assert_array_equal(part.probability[0], whole.probability[0][place])
        np.testing.assert_array_equal(part.students[:, 0], whole.students[:, 0][:, *place])


def changed_near_seams(predictor, image, tiling):
    """Share of the membrane near the borders of patches that another place of the grid changes."""
    side = PATCH_PX // 2
    here = predict_region(predictor, image, tiling=tiling).probability[0] >= 0.5
    moved = predict_region(predictor, image[side:, side:], tiling=tiling).probability[0] >= 0.5
    here = here[side:, side:]
    near = np.zeros_like(here)
    for place in range(side, max(here.shape), PATCH_PX):
        near[place - 20 : place + 20] = near[:, place - 20 : place + 20] = True
    return (here ^ moved)[near].sum() / here[near].sum()


def test_the_cold_start_hardly_changes_where_its_grid_lies(tissue):
    """Its surroundings of 41 px are the slide's, and its lumps are seen whole."""
    assert changed_near_seams(ColdStart(), tissue, EDGE_TO_EDGE) > 0.05
    assert changed_near_seams(ColdStart(), tissue, BLENDED) < 0.005


@pytest.mark.parametrize("architecture", ["unet", "transunet"])
def test_networks_of_other_strides_and_of_one_size_take_every_window(architecture):
    """U-Nets of 32 px are shown a mirrored rest, those with a transformer 256 px at a time."""
    predictor = network(architecture, "resnet18" if architecture == "unet" else "small")
    image = picture(272, 300)[None]
    seen = predictor(image)
    assert seen.probability.shape == (1, 272, 300)
    sizes = []

    def watched(images):
        sizes.append(images.shape[1:3])
        return predictor(images)

    if architecture == "unet":
        any_size(predictor, architecture, image, watched)
        assert sizes == [(288, 320)]
    else:
        inner = predictor(image[:, :256, :256])
        # what lies before the next tile's share begins is the first tile's alone
        np.testing.assert_array_equal(
            inner.probability[:, :208, :208], seen.probability[:, :208, :208]
        )


def test_progress_counts_tiles_and_may_stop_it():
    progress = []

    def watch(done, total):
        progress.append((done, total))
        if done == 6:
            raise KeyboardInterrupt

    predictor = Anywhere()
    with pytest.raises(KeyboardInterrupt):
        predict_region(predictor, picture(600, 700), tiling=EDGE_TO_EDGE, progress=watch)
    assert progress == [(3, 9), (6, 9)]
    assert predictor.calls == [(3, 256, 256)] * 2


@pytest.mark.parametrize("shape", [(0, 10, 3), (10, 10), (10, 10, 4)])
def test_what_is_no_region_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        predict_region(Anywhere(), np.zeros(shape, np.uint8))
