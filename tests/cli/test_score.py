"""`membrana score` and `membrana calibrate` as a shell runs them, on mosaics with known cells."""

import csv
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.models.her2.mosaic import MPP, all_of, mixed, mosaic

CASES = {
    "negative": all_of("N"),
    "low": mixed(0.9, "FP"),
    "strong": all_of("IC"),
    "case": mixed(0.3, "MC"),
}


def membrana(*words):
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("her2")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for name, labels in CASES.items():
        drawn = mosaic(labels, seed=4)
        Image.fromarray(drawn.image).save(root / "images" / f"{name}.png")
        mask = drawn.mask.astype(np.uint8) * 255
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def calibration(folder):
    path = folder / "calibration.json"
    done = membrana(
        "calibrate",
        *("--negative", folder / "images" / "negative.png"),
        *("--low", folder / "images" / "low.png"),
        *("--strong", folder / "images" / "strong.png"),
        *("--scanner", "camera 1", "--antibody", "4B5"),
        *("--mask", folder / "masks", "--mpp", MPP, "-o", path),
    )
    assert done.returncode == 0, done.stderr
    return path


def test_controls_set_rising_thresholds(calibration):
    said = json.loads(calibration.read_text())["thresholds"]
    steps = [said[name] for name in ("t_faint", "t_weak", "t_moderate", "t_intense")]
    assert steps == sorted(set(steps))


def test_the_calibration_says_what_it_holds_for_and_was_measured_on(folder, calibration):
    said = json.loads(calibration.read_text())
    assert (said["scanner"], said["antibody"], said["masks"]) == ("camera 1", "4B5", "files")
    assert "Research Use Only" in said["research_use_only"]
    [strong] = said["controls"]["strong"]
    for kind, key in (("images", "sha256"), ("masks", "mask_sha256")):
        content = (folder / kind / "strong.png").read_bytes()
        assert strong[key] == hashlib.sha256(content).hexdigest()
    assert (strong["mpp"], strong["cells"] > 100) == (MPP, True)
    assert len(said["software"]["code_sha256"]) == 64
    assert said["stain"], "the 3+ control has brown and blue enough"
    assert said["notes"] == []


def test_a_folder_of_images_is_scored_into_a_table_documents_and_figures(folder, calibration):
    out = folder / "scored"
    done = membrana(
        "score",
        *(folder / "images", "--mask", folder / "masks", "--mpp", MPP),
        *("--calibration", calibration, "-o", out, "--whole"),
    )
    assert done.returncode == 0, done.stderr
    documents = {each["image"]: each for each in json.loads(done.stdout)}
    assert {name: documents[f"{name}.png"]["score"] for name in CASES} == {
        "negative": "0",
        "low": "1+",
        "strong": "3+",
        "case": "2+",
    }
    flags = {flag["code"] for flag in documents["case.png"]["flags"]}
    assert "uncalibrated" not in flags
    # that all was taken for tumour stands on the face of every score
    for document in documents.values():
        said = {flag["code"]: flag["detail"] for flag in document["flags"]}
        assert "every nucleus that was found counts" in said["whole_as_tumour"]
        assert document["tumour"] == said["whole_as_tumour"]
        assert 0 < document["evaluated_area_mm2"] <= document["region_area_mm2"] + 1e-6
    with (out / "scores.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert rows["case.png"]["score"] == "2+"
    assert all("whole_as_tumour" in row["flags"].split() for row in rows.values())
    assert float(rows["negative.png"]["N"]) == 100
    with (out / "case.png.cells.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == documents["case.png"]["cells"]
    with Image.open(out / "case.png.png") as figure:
        assert figure.width > 1000
    assert json.loads((out / "case.png.json").read_text()) == documents["case.png"]
    assert "Research Use Only" in documents["case.png"]["research_use_only"]


def test_without_regions_cells_are_counted_and_there_is_no_category(folder, calibration):
    """The whole picture was tumour by default once; now somebody has to say so."""
    places = ("--mask", folder / "masks", "--mpp", MPP, "--calibration", calibration)
    done = membrana("score", folder / "images" / "strong.png", *places)
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert (document["score"], document["reason"]) == ("not assessable", "no_tumour_region")
    assert document["probability"]["not assessable"] == 1
    assert not document["ish_required"]
    assert document["cells"] > 100
    assert document["percent"]["intense_complete"]["value"] > 10
    flags = {flag["code"]: flag["detail"] for flag in document["flags"]}
    assert "whole_as_tumour" not in flags
    assert "--whole" in flags["no_tumour_region"] == document["reason_text"] == document["tumour"]
    both = membrana("score", folder / "images", *places, "--whole", "--regions", folder)
    assert both.returncode != 0
    assert "(wrong_option)" in both.stderr


def test_without_pixel_size_nothing_is_assessable(folder, tmp_path):
    image = folder / "images" / "case.png"
    done = membrana("score", image, "--mask", folder / "masks", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert (document["score"], document["reason"]) == ("not assessable", "mpp_missing")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--mpp", 0.25), "wrong_option"),
        (("--mask", "{masks}", "--proposal", "--mpp", 0.25), "wrong_option"),
        (("--mask", "{images}/..", "--mpp", 0.25), "folder_empty"),
        (("--mask", "{masks}", "--mpp", 0.25, "--protocol", "none"), "protocol"),
    ],
)
def test_what_cannot_be_scored_is_said_in_words(folder, tmp_path, words, code):
    places = {"masks": folder / "masks", "images": folder / "images"}
    told = [str(word).format(**places) for word in words]
    done = membrana("score", folder / "images" / "case.png", *told, "-o", tmp_path)
    assert done.returncode != 0
    assert f"({code})" in done.stderr
    assert "Traceback" not in done.stderr


def test_categories_are_compared_with_those_of_a_table(folder, calibration):
    table = folder / "table.csv"
    given = {"negative": "0", "low": "1+", "strong": "3+", "case": "3+"}
    lines = [f"images/{name}.png,{score},{MPP}" for name, score in given.items()]
    table.write_text("image,category,mpp,percent_stained\n" + ",50\n".join(lines) + ",50\n")
    out = folder / "agreement.json"
    done = membrana(
        "benchmark",
        *("--her2", table, "--masks", folder / "masks", "--calibration", calibration, "-o", out),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads(out.read_text())
    assert found["concordance"]["value"] == pytest.approx(0.75)
    wrong = [each["image"] for each in found["images"] if each["given"] != each["computed"]]
    assert wrong == ["images/case.png"]
    assert found["bland_altman"]["stained"]["n"] == 4
    assert found["icc_2_1"]["stained"]["raters"] == 2
    assert -1 < found["icc_2_1"]["stained"]["value"] < 0.5
    assert found["deming"]["stained"]["slope"] is None, "the truth is 50 % everywhere"


@pytest.mark.parametrize(
    "content",
    [
        "image,score\ncase.png,2+\n",
        "image,category,mpp,percent_stained\nimages/case.png,2+,0.25,many\n",
    ],
)
def test_a_table_without_categories_or_with_strange_numbers_is_refused(folder, content):
    table = folder / "strange.csv"
    table.write_text(content)
    done = membrana("benchmark", "--her2", table, "-o", folder / "out.json")
    assert done.returncode != 0
    assert "(table)" in done.stderr
