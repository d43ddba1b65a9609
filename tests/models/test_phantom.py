"""The phantom: the same seed is the same slide, and its truth is what was drawn."""

import json
from dataclasses import replace

import cv2
import numpy as np
import openslide
import pytest

from models.phantom import CLASSES, PhantomSpec, field, region, score, truth_mask, write
from models.phantom.__main__ import main
from models.phantom.cells import cells_in

SPEC = PhantomSpec(width=2048, height=1600, seed=9, her2="3+")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(SPEC, tmp_path_factory.mktemp("phantom") / "slide.tif", threads=2)


def test_same_seed_gives_identical_pixels_and_another_seed_does_not():
    spec = PhantomSpec(seed=3)
    first, second, other = field(spec, 256), field(spec, 256), field(replace(spec, seed=4), 256)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("box", [(700, 500, 300, 200), (701, 503, 257, 131), (0, 0, 64, 64)])
def test_a_box_is_the_same_pixels_whatever_it_is_cut_from(box):
    x0, y0, width, height = box
    spec = replace(SPEC, outline=False, pen=True, out_of_focus=1.0)
    alone = region(spec, x0, y0, width, height)
    around = region(spec, x0 - 90, y0 - 51, width + 200, height + 160)
    cut = np.s_[51 : 51 + height, 90 : 90 + width]
    assert np.array_equal(alone.mask, around.mask[cut])
    difference = np.abs(alone.image.astype(int) - around.image[cut].astype(int))
    assert difference.max() <= 1  # float32 rounding only
    assert (difference > 0).mean() < 1e-3


def test_boxes_side_by_side_count_each_cell_once():
    whole = cells_in(SPEC, 512, 512, 1024, 512)
    left, right = cells_in(SPEC, 512, 512, 512, 512), cells_in(SPEC, 1024, 512, 512, 512)
    assert len(whole.label) > 100
    assert len(left.label) + len(right.label) == len(whole.label)


def test_negative_slides_have_no_membrane_and_positive_ones_do():
    share = {
        her2: (field(PhantomSpec(her2=her2, seed=5), 512).mask > 0).mean()
        for her2 in ("0", "1+", "2+", "3+")
    }
    assert share["0"] == 0
    assert 0 < share["1+"] < share["2+"] < share["3+"] < 0.35


def test_complete_cells_are_ringed_by_mask_and_unstained_cells_are_not():
    drawn = field(PhantomSpec(her2="2+", seed=2), 768)
    near = cv2.distanceTransform((drawn.mask == 0).astype(np.uint8), cv2.DIST_L2, 5)
    turns = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    reach = np.arange(8, 46)  # px along a ray: 2 to 11 µm
    shares: dict[str, list[float]] = {name: [] for name in CLASSES}
    for x, y, label in zip(drawn.cells.x0, drawn.cells.y0, drawn.cells.label, strict=True):
        if not (60 < x < 708 and 60 < y < 708):
            continue
        xs = np.rint(x + np.cos(turns)[:, None] * reach).astype(int)
        ys = np.rint(y + np.sin(turns)[:, None] * reach).astype(int)
        shares[CLASSES[label]].append(float((near[ys, xs].min(axis=1) < 1).mean()))
    complete = np.concatenate([shares["WC"], shares["MC"], shares["IC"]])
    partial = np.concatenate([shares["N"], shares["FP"]])
    assert len(complete) > 15
    assert len(partial) > 15
    assert np.median(complete) > 0.9
    assert np.median(complete) > np.median(partial) + 0.1


def test_membrane_is_browner_than_the_cytoplasm_beside_it():
    drawn = field(PhantomSpec(her2="3+", seed=6), 512)
    inside = drawn.mask > 0
    around = (cv2.dilate(drawn.mask, np.ones((15, 15), np.uint8)) > 0) & ~(
        cv2.dilate(drawn.mask, np.ones((5, 5), np.uint8)) > 0
    )
    blue = drawn.image[..., 2].astype(float)
    assert blue[inside].mean() < blue[around].mean() - 30


@pytest.mark.parametrize("her2", ["0", "0+", "1+", "2+", "3+"])
def test_every_mix_scores_as_asked(her2):
    for seed in (11, 12, 13):
        spec = PhantomSpec(width=8000, height=8000, her2=her2, seed=seed)
        assert score(cells_in(spec, 0, 0, 8000, 8000).counts)[0] == her2


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"N": 1000}, ("0", "no_staining")),
        ({"N": 995, "FP": 5}, ("0", "below_detection_limit")),
        ({"N": 990, "FP": 10}, ("0+", "faint_incomplete_le10")),
        ({"N": 900, "FP": 100}, ("0+", "faint_incomplete_le10")),
        ({"N": 899, "FP": 101}, ("1+", "faint_incomplete_gt10")),
        ({"N": 900, "WC": 100}, ("1+", "gap_pattern")),
        ({"N": 899, "WC": 101}, ("2+", "weak_moderate_complete_gt10")),
        ({"N": 899, "MP": 101}, ("2+", "moderate_intense_incomplete_gt10")),
        ({"N": 990, "IC": 10}, ("2+", "intense_complete_le10")),
        ({"N": 900, "IC": 100}, ("2+", "intense_complete_le10")),
        ({"N": 899, "IC": 101}, ("3+", "intense_complete_gt10")),
        ({"IC": 99}, ("NA", "too_few_cells")),
    ],
)
def test_score_follows_the_guideline_table(cells, expected):
    # "100 weak complete" and "100 intense complete": exactly 10 % is not over
    assert score({name: cells.get(name, 0) for name in CLASSES}) == expected


def test_openslide_opens_the_slide_with_its_pixel_size_and_levels(written):
    with openslide.OpenSlide(written.slide) as slide:
        assert slide.dimensions == (SPEC.width, SPEC.height)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25)
        assert slide.level_count >= 3
        assert "Synthetic" in slide.properties["tiff.ImageDescription"]
        assert slide.properties["openslide.level[0].tile-width"] == "256"


def test_truth_mask_fits_the_slides_own_pixels(written):
    x0, y0 = 900, 700
    mask = truth_mask(written.truth_mask, x0, y0, 300, 200)
    assert np.array_equal(mask, region(SPEC, x0, y0, 300, 200).mask)
    assert set(np.unique(mask)) == {0, 255}
    with openslide.OpenSlide(written.slide) as slide:
        image = np.asarray(slide.read_region((x0, y0), 0, (300, 200)).convert("RGB"))
    drawn = region(SPEC, x0, y0, 300, 200).image
    assert np.abs(image.astype(int) - drawn.astype(int)).mean() < 8  # JPEG only


def test_truth_mask_is_zero_outside_the_slide(written):
    mask = truth_mask(written.truth_mask, -20, SPEC.height - 30, 64, 64)
    assert mask.shape == (64, 64)
    assert not mask[:, :20].any()
    assert not mask[30:].any()


def test_truth_json_says_synthetic_and_counts_its_cells(written):
    truth = json.loads(written.truth_json.read_text())
    assert truth["synthetic"] is True
    assert truth["score"] == written.score == "3+"
    labels = truth["cells"]["class"]
    assert len(labels) == len(truth["cells"]["x0"]) == sum(truth["counts"].values()) > 200
    assert truth["counts"] == {name: labels.count(k) for k, name in enumerate(CLASSES)}
    assert max(truth["cells"]["x0"]) < SPEC.width
    assert truth["spec"]["seed"] == SPEC.seed


def test_writing_twice_gives_the_same_pixels_and_leaves_no_spool(written, tmp_path):
    again = write(SPEC, tmp_path / "again.tif", threads=3)
    with openslide.OpenSlide(written.slide) as a, openslide.OpenSlide(again.slide) as b:
        size = a.dimensions
        assert a.read_region((0, 0), 0, size).tobytes() == b.read_region((0, 0), 0, size).tobytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "again.tif",
        "again.truth.json",
        "again.truth.tif",
    ]


def test_tissue_lies_on_glass():
    spec = PhantomSpec(width=4000, height=4000, seed=1)
    corner, middle = region(spec, 0, 0, 128, 128), region(spec, 1936, 1936, 128, 128)
    assert corner.image.min() > 150
    assert len(corner.cells.label) == 0
    assert middle.image.std() > corner.image.std()


def test_command_line_writes_slide_and_truth(tmp_path, capsys):
    out = tmp_path / "demo.tif"
    asked = ["--width", "600", "--height", "400", "--seed", "2", "--mpp", "0.5", "--score", "1+"]
    assert main([str(out), *asked]) == 0
    assert "synthetic" in capsys.readouterr().out
    with openslide.OpenSlide(out) as slide:
        assert slide.dimensions == (600, 400)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)


@pytest.mark.parametrize("wrong", [{"her2": "4+"}, {"width": 0}, {"mpp": 0.0}, {"jpeg_quality": 0}])
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        PhantomSpec(**wrong)
