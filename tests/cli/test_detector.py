"""`--detector` of the HER2 commands: nuclei by a learned detector, or a refusal in words."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.her2.scores.detector import SHIPPED, mounted
from tests.cli.conftest import Membrana
from tests.models.her2.mosaic import MPP, all_of, mixed, mosaic
from tests.support.nuclei import CARD, BluerThanRed, Smaller, mount


@pytest.fixture
def score(membrana: Membrana, tmp_path: Path):
    """Return a function that scores one mosaic with more words."""
    drawn = mosaic(mixed(0.3, "MC"), seed=4)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(drawn.image).save(tmp_path / "images" / "case.png")
    mask = drawn.mask.astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "masks" / "case.png")
    places = (
        "--mask",
        str(tmp_path / "masks"),
        "-o",
        str(tmp_path / "out"),
        "--mpp",
        str(MPP),
        "--whole",
    )
    return lambda *more: membrana("score", str(tmp_path / "images"), *places, *more)


def test_nuclei_are_found_by_the_detector_that_is_given(score, tmp_path: Path) -> None:
    weights = mount(tmp_path / "mounted")
    [usual] = json.loads(score().out)
    done = score("--detector", str(weights))
    assert done.code == 0, done.err
    [document] = json.loads(done.out)
    said = document["provenance"]
    assert said["detector_weights"] == mounted(weights).frozen()
    assert said["detector_weights"]["sha256"] in said["detector"]
    assert usual["provenance"]["detector_weights"] == SHIPPED.frozen(), "it comes with Membrana"
    assert SHIPPED.sha256 in usual["provenance"]["detector"]
    [ruled] = json.loads(score("--detector", "log").out)
    assert ruled["provenance"]["detector"] == "log"
    assert "detector_weights" not in ruled["provenance"]
    assert document["score"] == usual["score"] == ruled["score"] == "2+"
    counts = [str(each["counts"]) for each in (document, usual, ruled)]
    assert len(set(counts)) == 3


def test_a_table_is_compared_with_the_detector_that_is_given(membrana, score, tmp_path) -> None:
    weights = mount(tmp_path / "mounted")
    [alone] = json.loads(score("--detector", str(weights)).out)
    table = tmp_path / "images" / "table.csv"
    table.write_text(f"image,category,mpp\ncase.png,2+,{MPP}\n")
    done = membrana(
        *("agreement", str(table), "--masks", str(tmp_path / "masks")),
        *("--detector", str(weights)),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["detector_weights"] == alone["provenance"]["detector_weights"]
    assert found["concordance"]["hits"] == 1


@pytest.mark.parametrize(
    ("card", "code", "word"),
    [
        ({}, "detector_missing", "no nucleus detector"),
        ({"kind": "cellpose"}, "detector_missing", "Cellpose is not installed"),
        ({"sha256": "0" * 64}, "detector_invalid", "not the weights"),
    ],
)
def test_what_can_not_be_used_is_said_and_nothing_else_is_taken(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: dict, code: str, word: str
) -> None:
    monkeypatch.setitem(sys.modules, "cellpose", None)
    weights = mount(tmp_path / "mounted", **card)
    if not card:
        weights.unlink()
    done = score("--detector", str(weights))
    assert done.code != 0
    assert word in done.err
    assert code in done.err
    assert not (tmp_path / "out" / "case.png.json").exists()


def test_a_detector_that_fails_on_a_picture_is_named(score, tmp_path: Path) -> None:
    done = score("--detector", str(mount(tmp_path / "mounted", Smaller())))
    assert done.code != 0
    assert CARD["name"] in done.err
    assert "detector_failed" in done.err


CONTROLS = {"negative": all_of("N"), "low": mixed(0.9, "FP"), "strong": all_of("IC")}


@pytest.fixture
def calibrate(membrana: Membrana, tmp_path: Path):
    """Return a function that calibrates on three mosaics with more words; its answer is a path."""
    controls = tmp_path / "controls"
    for kind in ("images", "masks"):
        (controls / kind).mkdir(parents=True)
    for name, labels in CONTROLS.items():
        drawn = mosaic(labels, seed=4)
        Image.fromarray(drawn.image).save(controls / "images" / f"{name}.png")
        mask = drawn.mask.astype(np.uint8) * 255
        Image.fromarray(mask).save(controls / "masks" / f"{name}.png")
    images = [
        w for name in CONTROLS for w in (f"--{name}", str(controls / "images" / name) + ".png")
    ]
    told = ("--scanner", "camera 1", "--antibody", "4B5", "--mpp", str(MPP))

    def calibrated(name: str, *more: str) -> Path:
        path = tmp_path / name
        masks = ("--mask", str(controls / "masks"), "-o", str(path))
        done = membrana("calibrate", *images, *told, *masks, *more)
        assert done.code == 0, done.err
        return path

    return calibrated


def flags_of(document: dict) -> dict[str, str]:
    return {flag["code"]: flag["detail"] for flag in document["flags"]}


def test_a_calibration_holds_for_the_detector_that_it_was_measured_with(
    score, calibrate, tmp_path: Path
) -> None:
    weights = mount(tmp_path / "mounted", BluerThanRed(), percentiles=None)
    learned = calibrate("learned.json", "--detector", str(weights))
    usual = calibrate("usual.json")
    said, before = (json.loads(path.read_text()) for path in (learned, usual))
    assert said["detector_weights"] == mounted(weights).frozen()
    assert before["detector_weights"] == SHIPPED.frozen()
    ruled = calibrate("ruled.json", "--detector", "log")
    rule = json.loads(ruled.read_text())
    assert (rule["detector"], rule.get("detector_weights")) == ("log", None)
    cells = [each["controls"]["strong"][0]["cells"] for each in (said, before)]
    assert cells[0] != cells[1], "the controls' nuclei are the detector's"

    same = score("--calibration", str(learned), "--detector", str(weights))
    [document] = json.loads(same.out)
    assert "calibration_detector" not in flags_of(document)
    assert "calibrate anew" not in same.err

    ours, theirs = (
        f"{each.name} (sha256 {each.sha256[:12]}…)" for each in (mounted(weights), SHIPPED)
    )
    for calibration, more, then, now in (
        (learned, ("--detector", "log"), ours, "the built-in rule"),
        (learned, (), ours, theirs),
        (usual, ("--detector", str(weights)), theirs, ours),
        (ruled, ("--detector", str(weights)), "the built-in rule", ours),
        (ruled, (), "the built-in rule", theirs),
    ):
        done = score("--calibration", str(calibration), *more)
        assert done.code == 0, done.err
        [document] = json.loads(done.out)
        detail = flags_of(document)["calibration_detector"]
        assert f"measured on nuclei from {then}; now they are from {now}" in detail
        assert f"{calibration.name}: {detail}" in done.err
        with (tmp_path / "out" / "scores.csv").open(newline="") as file:
            [row] = csv.DictReader(file)
        assert "calibration_detector" in row["flags"].split()


def test_another_detector_of_the_same_name_is_told_by_its_weights_and_its_pixel_size(
    score, calibrate, tmp_path: Path
) -> None:
    weights = mount(tmp_path / "mounted", BluerThanRed(), percentiles=None)
    path = calibrate("learned.json", "--detector", str(weights))
    for folder, card in (("finer", {"mpp": 0.4}), ("renamed", {"licence": "MIT"})):
        other = mount(tmp_path / folder, BluerThanRed(), percentiles=None, **card)
        [document] = json.loads(score("--calibration", str(path), "--detector", str(other)).out)
        assert ("calibration_detector" in flags_of(document)) == (folder == "finer")
    said = json.loads(path.read_text())
    said["detector_weights"]["sha256"] = "0" * 64
    path.write_text(json.dumps(said))
    [document] = json.loads(score("--calibration", str(path), "--detector", str(weights)).out)
    assert "(sha256 000000000000…)" in flags_of(document)["calibration_detector"]
    path.write_text(json.dumps(said | {"detector_weights": "blue-peaks"}))
    done = score("--calibration", str(path), "--detector", str(weights))
    assert (done.code, "is not a calibration" in done.err) == (1, True), done.err
