"""What the starter is chosen and judged by: a source never teaches where it judges."""

from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.starter import lessons, sources
from benchmarks.starter.judging import tally
from benchmarks.starter.trials import OF_OTHER_LICENCE, Trial, pair, trials


def crop_of(mask: npt.NDArray[np.uint8], shade: tuple[int, int, int]) -> sources.Crop:
    """A line of one colour on glass, and what is true of it."""
    image = np.full((*mask.shape, 3), 236, np.uint8)
    image[mask == 255] = shade
    return sources.Crop("line", "line", image, mask, ("", 0, 0))


def test_a_mask_two_pixels_off_is_near_and_not_the_same() -> None:
    truth = np.zeros((20, 20), np.uint8)
    truth[10] = 255
    truth[:, :4] = 127
    crop = crop_of(truth, (150, 105, 70))
    proposed = np.zeros((20, 20), np.float32)
    proposed[12] = 0.6
    found = tally(proposed, crop, ruled=False)
    # sixteen decided pixels of a line on each side
    assert (found.hit, found.proposed, found.truth) == (0, 16, 16)
    assert (found.near_truth, found.near_proposed, found.pixels) == (16, 16, 320)
    assert found.document()["near_dice"] == 1
    assert found.dice == 0
    assert tally(np.where(proposed > 0, 0.4, 0), crop, ruled=False).proposed == 0
    proposed[12], proposed[13] = 0, 0.6
    assert tally(proposed, crop, ruled=False).near_truth == 0


@pytest.mark.parametrize(("shade", "share"), [((150, 105, 70), 1), ((120, 120, 120), 0)])
def test_the_rules_leave_out_of_a_mask_what_is_not_brown(
    shade: tuple[int, int, int], share: int
) -> None:
    truth = np.zeros((64, 64), np.uint8)
    truth[30:33] = 255
    proposed = (truth / 255).astype(np.float32)
    assert tally(proposed, crop_of(truth, shade), ruled=False).dice == 1
    assert tally(proposed, crop_of(truth, shade), ruled=True).dice == share


@pytest.mark.usefixtures("shared_data")
def test_no_source_teaches_where_it_judges() -> None:
    every = {crop.source for crop in sources.crops()}
    assert every == {s for fold in sources.FOLDS.values() for s in fold} | {sources.ALWAYS}
    for folds in [*combinations(sources.FOLDS, 1), *combinations(sources.FOLDS, 2)]:
        taught = {crop.source for crop in lessons.teaching(folds, shipped=False)}
        assert taught == every - sources.held_out(folds)
        judged = {crop.source for fold in folds for crop in sources.fold_of(fold)}
        assert not taught & judged
    shipped = lessons.teaching((OF_OTHER_LICENCE,), shipped=True)
    assert {crop.source for crop in shipped} == set(sources.CORES)


@pytest.mark.usefixtures("shared_data")
def test_a_choice_is_made_without_the_fold_it_is_for() -> None:
    folder = Path("nowhere")
    choosing = {trial.folds for trial in trials(["supervised"], folder, judged=False)}
    assert choosing == {pair(*two) for two in combinations(sources.FOLDS, 2)}
    judging = trials(["supervised"], folder, judged=True)
    assert [trial.folds for trial in judging] == [(fold,) for fold in sources.FOLDS]
    assert [trial.folds for trial in judging if trial.shipped] == [(OF_OTHER_LICENCE,)]
    assert Trial("supervised", pair("core3_a", OF_OTHER_LICENCE), folder).shipped
    assert not Trial("supervised", pair("core3_a", "core1_a"), folder).shipped


@pytest.mark.parametrize("zoom", lessons.ZOOMS)
def test_an_image_in_another_size_keeps_its_mask(zoom: float) -> None:
    image = np.full((256, 256, 3), 200, np.uint8)
    mask = np.zeros((256, 256), np.uint8)
    image[100:130, 60:200], mask[100:130, 60:200] = 40, 255
    shown, marked = lessons.zoomed(image, mask, zoom, np.random.default_rng(0))
    assert (shown.shape, marked.shape) == (image.shape, mask.shape)
    dark = shown[..., 0] < 120
    decided = marked != 127
    wrong = (dark != (marked == 255)) & decided
    assert wrong.sum() < 200
    assert (marked == 255).any()
    # what lies outside a smaller image is open, never background
    assert decided.all() == (zoom >= 1)


@pytest.mark.usefixtures("shared_data")
def test_sources_with_membranes_teach_equally_often() -> None:
    found = lessons.mixed((OF_OTHER_LICENCE,), shipped=True, synthetic=False)
    stained = (found.masks == 255).any((1, 2))
    assert len(found.images) == lessons.PLACES
    assert stained.sum() <= lessons.PLACES * (1 - lessons.BACKGROUND)
    ones = round(lessons.PLACES * lessons.BACKGROUND)
    halves = stained[ones:].reshape(2, -1).sum(1)
    assert abs(int(halves[0]) - int(halves[1])) < 10
