from pathlib import Path

import numpy as np
import pytest
from shapely import box

from models.her2 import mask_doubt
from models.her2.mask_doubt import flag_of, uncertain_share
from models.her2.pixels import Field, MaskArrays, Regions
from models.phantom import PhantomSpec, region
from models.phantom.tumour import richest_place
from tests.models.her2.mosaic import PROTOCOL
from worker.commands.image_files import Picture
from worker.commands.scoring import score_picture
from worker.commands.sources import source_of

SIDE = 1200
SLIDE = Field(np.full((SIDE, SIDE, 3), 255, np.uint8), 0.25)
INNER = Regions.of([box(200, 200, 1000, 1000)])


def masks(likely, reviewed=None, membrane=None):
    likely = np.asarray(likely, np.uint8)
    nobody = np.zeros((SIDE, SIDE), np.bool_)
    reviewed = nobody if reviewed is None else reviewed
    membrane = likely >= 128 if membrane is None else membrane
    return MaskArrays(membrane, reviewed, likely)


def of(probability, shape=(SIDE, SIDE)):
    return np.full(shape, round(255 * probability), np.uint8)


def test_half_sure_is_half_the_share_and_what_lies_outside_does_not_count():
    likely = of(0.0)
    likely[200:600, 200:1000] = round(255 * 0.9)
    likely[600:700, 200:1000] = round(255 * 0.65)
    likely[700:1000, 200:1000] = round(255 * 0.35)
    likely[:190] = likely[:, :190] = likely[1010:] = 128
    assert uncertain_share(SLIDE, masks(likely), INNER) == pytest.approx(0.5)
    hole = Regions.of([box(200, 200, 1000, 1000)], [box(200, 200, 1000, 600)])
    assert uncertain_share(SLIDE, masks(likely), hole) == 1.0


@pytest.mark.parametrize(
    ("probability", "share"),
    [(0.29, None), (0.31, 1.0), (0.5, 1.0), (0.69, 1.0), (0.71, 0.0), (1.0, 0.0)],
)
def test_unsure_is_from_three_to_seven_tenths(probability, share):
    assert uncertain_share(SLIDE, masks(of(probability)), INNER) == share


def test_of_what_a_person_drew_nobody_is_unsure():
    reviewed = np.zeros((SIDE, SIDE), np.bool_)
    reviewed[:, :800] = True
    drawn = np.zeros((SIDE, SIDE), np.bool_)
    drawn[:, 600:800] = True
    found = uncertain_share(SLIDE, masks(of(0.5), reviewed, drawn | ~reviewed), INNER)
    assert found == pytest.approx(0.5), "200 px of a person's membrane beside 200 px of guesses"
    everything = np.ones((SIDE, SIDE), np.bool_)
    assert uncertain_share(SLIDE, masks(of(0.5), everything, everything), INNER) == 0.0


def test_hardly_any_membrane_or_no_model_has_no_share():
    likely = of(0.0)
    likely[300:340, 300:340] = 128
    assert uncertain_share(SLIDE, masks(likely), INNER) is None
    by_hand = MaskArrays(likely > 0, np.zeros((SIDE, SIDE), np.bool_))
    assert uncertain_share(SLIDE, by_hand, INNER) is None
    assert uncertain_share(SLIDE, masks(of(0.5)), Regions.of([])) is None


def test_a_large_slide_is_read_here_and_there(monkeypatch):
    monkeypatch.setattr(mask_doubt, "MOST_BLOCKS", 2)
    asked = []
    known = masks(of(0.5))

    class Counting:
        read = known.read

        def probability(self, *where):
            asked.append(where)
            return known.probability(*where)

    assert uncertain_share(SLIDE, Counting(), Regions.whole(SLIDE)) == 1.0
    assert len(asked) == 2


def test_another_pixel_size_asks_for_the_same_tumour():
    slide = Field(SLIDE.image, 0.5)
    likely = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    likely[400:2000, 400:2000] = 128
    nobody = np.zeros(likely.shape, np.bool_)
    likely[:390] = 255
    assert uncertain_share(slide, MaskArrays(likely > 0, nobody, likely), INNER) == 1.0


def test_only_much_doubt_is_said():
    assert list(flag_of(None)) == list(flag_of(mask_doubt.MOST_SHARE)) == []
    [flag] = flag_of(0.61)
    assert (flag.code, flag.severity) == ("mask_uncertain", "warning")
    assert "61 %" in flag.detail


@pytest.mark.parametrize(("her2", "said"), [("0+", True), ("3+", False)])
def test_the_first_proposals_of_faint_tissue_are_doubted_and_those_of_strong_not(her2, said):
    spec = PhantomSpec(seed=31, her2=her2, outline=False, tumour=0.9, out_of_focus=0.0)
    x0, y0 = richest_place(spec, 512)
    image = region(spec, x0, y0, 512, 512, jpeg=True).image
    picture = Picture(Path("field.png"), image, spec.mpp, "0" * 64)
    source = source_of(None, "255", None, proposal=True)
    document = score_picture(picture, PROTOCOL, source).document
    assert ("mask_uncertain" in {flag["code"] for flag in document["flags"]}) == said
