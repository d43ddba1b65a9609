"""Masks as people save them: read as they were meant, or refused; never a strong case scored 0."""

import json

import numpy as np
import pytest
import shapely
from PIL import Image

from models.study.files import DatasetError
from tests.models.her2.mosaic import MPP, all_of, mosaic
from worker.commands.image_files import read_picture
from worker.commands.mask_files import area_of, mask_of

STRONG = mosaic(all_of("IC"), seed=4)
MEMBRANE = STRONG.mask.astype(np.uint8)


@pytest.fixture
def case(tmp_path):
    Image.fromarray(STRONG.image).save(tmp_path / "case.png")
    (tmp_path / "masks").mkdir()
    return tmp_path


def read(case, name="case.png", positive="255"):
    picture = read_picture(case / "case.png", MPP)
    return mask_of(picture, {"case": case / "masks" / name}, positive)


def grey(values):
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("drawn", "positive"),
    [
        (grey(MEMBRANE * np.uint8(255)), "255"),
        (grey(MEMBRANE), "1"),
        (grey(MEMBRANE), "any"),
        (grey(MEMBRANE * np.uint8(255)).convert("1"), "255"),
        (grey(MEMBRANE.astype(np.uint16) * np.uint16(65535)), "65535"),
        (grey(MEMBRANE * np.uint8(255)).convert("RGB"), "255"),
    ],
)
def test_the_same_membrane_is_read_however_it_is_coded(case, drawn, positive):
    drawn.save(case / "masks" / "case.png")
    mask = read(case, positive=positive)
    assert np.array_equal(mask.membrane, STRONG.mask)
    assert not mask.unknown.any()


def test_a_jpeg_of_0_and_255_is_read_by_what_was_drawn(case):
    grey(MEMBRANE * np.uint8(255)).save(case / "masks" / "case.jpg", quality=85)
    assert np.array_equal(read(case, "case.jpg").membrane, STRONG.mask)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (MEMBRANE, "the value 1,"),
        (MEMBRANE.astype(np.uint16) * np.uint16(65535), "the value 65535,"),
        # labels of cells, of which one happens to be 255
        (np.arange(768 * 768, dtype=np.uint32).reshape(768, 768) % 300, "1, 2, 3 and"),
    ],
)
def test_with_255_other_values_are_asked_about(case, values, told):
    grey(values.astype(np.uint16 if values.max() > 255 else np.uint8)).save(
        case / "masks" / "case.png"
    )
    with pytest.raises(DatasetError, match=told) as refused:
        read(case)
    assert refused.value.code == "mask_values"


def test_a_mask_without_membrane_is_an_answer(case):
    grey(MEMBRANE * np.uint8(0)).save(case / "masks" / "case.png")
    assert not read(case).membrane.any()


def scored(membrana, case, *words):
    done = membrana(
        "score",
        *(str(case / "case.png"), "--mask", str(case / "masks"), "--mpp", str(MPP)),
        *("--whole", *words),
    )
    return done, json.loads(done.out) if done.out else []


def test_what_the_mask_leaves_open_is_not_counted(membrana, case):
    drawn = MEMBRANE * np.uint8(255)
    drawn[:, :384] = 127
    grey(drawn).save(case / "masks" / "case.png")
    done, [half] = scored(membrana, case)
    assert done.code == 0
    # nothing of a person's unknown half is taken for unstained
    assert half["percent"]["IC"]["value"] > 90
    grey(MEMBRANE * np.uint8(255)).save(case / "masks" / "case.png")
    _, [known] = scored(membrana, case)
    assert 0.35 * known["cells"] < half["cells"] < 0.65 * known["cells"]
    grey(np.full_like(drawn, 127)).save(case / "masks" / "case.png")
    done, [nothing] = scored(membrana, case)
    assert (nothing["score"], nothing["reason"]) == ("not assessable", "no_tumour_region")


def test_without_o_nothing_is_written(membrana, case):
    grey(MEMBRANE * np.uint8(255)).save(case / "masks" / "case.png")
    before = {path.name for path in case.rglob("*")}
    done, [document] = scored(membrana, case)
    assert (done.code, document["score"]) == (0, "3+")
    assert {path.name for path in case.rglob("*")} == before


def test_a_file_can_not_be_the_folder_of_results(membrana, case):
    grey(MEMBRANE * np.uint8(255)).save(case / "masks" / "case.png")
    done, _ = scored(membrana, case, "-o", str(case / "case.png"))
    assert done.code == 2
    assert "can't be one: file exists. (wrong_option)" in done.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--positive", "abc"), "positive_unknown"),
        (("--positive", "-1"), "positive_unknown"),
        (("--mpp", "nan"), "mpp_implausible"),
        (("--protocol", "nope"), "protocol"),
        (("--gap", "3+"), "protocol"),
    ],
)
def test_what_is_typed_wrongly_is_wrong_use(membrana, case, words, code):
    done, _ = scored(membrana, case, *words)
    assert done.code == 2
    assert f"({code})" in done.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "it is no JSON"),
        ("{}", "it has no schema"),
        ("[1]", "values are not as"),
        ('{"schema": "x", "protocol": "y", "on": "z", "thresholds": {}}', "a calibration of y"),
    ],
)
def test_a_broken_calibration_is_told_in_words(membrana, case, content, told):
    (case / "lab.json").write_text(content)
    done, _ = scored(membrana, case, "--calibration", str(case / "lab.json"))
    assert done.code == 1
    assert told in done.err
    assert "(calibration_invalid)" in done.err


def test_a_grey_picture_has_no_stain_to_score(membrana, case):
    shades = Image.fromarray(STRONG.image).convert("L").convert("RGB")
    shades.save(case / "case.png")
    grey(MEMBRANE * np.uint8(255)).save(case / "masks" / "case.png")
    _, [document] = scored(membrana, case)
    assert (document["score"], document["reason"]) == ("not assessable", "colour")


def test_an_area_is_of_pixels_with_holes_and_islands():
    inside = np.random.default_rng(3).random((40, 30)) < 0.4
    area = area_of(inside)
    y, x = np.mgrid[:40, :30] + 0.5
    assert np.array_equal(shapely.contains_xy(area, x, y), inside)
    assert area.area == inside.sum()
    assert area_of(np.zeros((4, 4), np.bool_)).is_empty
