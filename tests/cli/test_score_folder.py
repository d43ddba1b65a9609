"""A folder through `membrana score` in this process: what each output says, and what goes on."""

import csv
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from backend.her2.scores.detector import RULE
from tests.models.her2.mosaic import MPP, all_of, mixed, mosaic
from worker.commands.controls import doubts_on
from worker.commands.options import Refused
from worker.commands.score_files import as_text
from worker.commands.sources import check_names, source_of

STATEMENT = "For Research Use Only. Not for use in diagnostic procedures."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures with their masks; one that begins like a formula, one that is no picture."""
    root = tmp_path_factory.mktemp("folder")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for name, labels in (("=1+1", all_of("IC")), ("last", mixed(0.08, "WP"))):
        drawn = mosaic(labels, seed=4, side_px=640)
        Image.fromarray(drawn.image).save(root / "images" / f"{name}.png")
        Image.fromarray(drawn.mask.astype(np.uint8) * 255).save(root / "masks" / f"{name}.png")
    (root / "images" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture
def scored(membrana, folder, tmp_path):
    """The folder scored, with what the command said."""
    done = membrana(
        "score",
        *(str(folder / "images"), "--mask", str(folder / "masks"), "--mpp", str(MPP)),
        *("--whole", "--merge-zero-plus", "--gap", "2+", "-o", str(tmp_path / "out")),
    )
    return done, tmp_path / "out"


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_bad_file_is_named_and_the_others_are_scored_with_all_their_evidence(scored, folder):
    done, out = scored
    assert done.code == 1
    assert "broken.png: " in done.err
    assert "(image_unreadable)" in done.err
    documents = {each["image"]: each for each in json.loads(done.out)}
    assert set(documents) == {"=1+1.png", "last.png"}
    rows = {row["image"]: row for row in table(out / "scores.csv")}
    assert rows["broken.png"]["failed"] == "image_unreadable"
    assert rows["broken.png"]["score"] == ""
    assert rows["last.png"]["failed"] == ""
    assert list(rows["last.png"])[-1] == STATEMENT
    # a spreadsheet would compute the name
    assert rows["'=1+1.png"]["score"] == "3+"
    for name, document in documents.items():
        cells = table(out / f"{name}.cells.csv")
        assert len(cells) == document["cells"]
        statement = list(cells[0])[-1]
        assert statement == f"{STATEMENT} sha256:{document['provenance']['image_sha256']}"
        assert document["research_use_only"] == STATEMENT
        made = document["provenance"]
        mask = (folder / "masks" / name).read_bytes()
        assert made["mask_sha256"] == hashlib.sha256(mask).hexdigest()
        assert made["weights_sha256"] is None
        assert made["software"]["version"]
        assert len(made["software"]["code_sha256"]) == 64
        with Image.open(folder / "masks" / name) as opened:
            share = 100 * float((np.asarray(opened) > 0).mean())
        # the strip of glass is no tissue
        assert document["membrane_percent_of_tissue"] == pytest.approx(share, rel=0.12)
    # the laboratory's choices: 0+ is printed as 0, the gap is 2+
    assert (documents["last.png"]["score"], rows["last.png"]["score"]) == ("0+", "0")
    assert documents["last.png"]["protocol"]["gap"] == "2+"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--gap", "3+"), "protocol"),
        (("--calibration", "none.json"), "calibration_missing"),
        (("--model", "none.pt"), "wrong_option"),
    ],
)
def test_a_wrong_choice_ends_it_before_any_picture(membrana, folder, tmp_path, words, code):
    masks = str(folder / "masks")
    done = membrana(
        "score", str(folder / "images"), "--mask", masks, *words, "-o", str(tmp_path / "out")
    )
    assert done.code == (1 if code == "calibration_missing" else 2)
    assert f"({code})" in done.err
    assert not (tmp_path / "out").exists()


def test_two_pictures_of_one_name_are_refused(tmp_path):
    proposed = source_of(None, "255", None, proposal=True)
    paths = [tmp_path / "a" / "case.png", tmp_path / "b" / "case.png"]
    with pytest.raises(Refused, match="have one name") as refused:
        check_names(paths, proposed)
    assert refused.value.problem_code == "name_twice"
    check_names([tmp_path / "case.png", tmp_path / "case.jpg"], proposed)


def test_with_a_folder_of_masks_names_without_endings_must_differ(folder, tmp_path):
    files = source_of(folder / "masks", "255", None, proposal=False)
    with pytest.raises(Refused, match="have one name"):
        check_names([tmp_path / "case.png", tmp_path / "case.ome.tif"], files)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\t=1"])
def test_no_name_is_a_formula(name):
    assert as_text(name) == f"'{name}"
    assert as_text("case.png") == "case.png"


def test_few_blanks_are_refused_before_anything_is_measured(membrana, folder, tmp_path):
    image = str(folder / "images" / "last.png")
    controls = [word for name in ("negative", "low", "strong") for word in (f"--{name}", image)]
    told = ("--proposal", "--mpp", str(MPP), "-o", str(tmp_path / "out.json"))
    assay = ("--scanner", "camera 1", "--antibody", "4B5")
    done = membrana("calibrate", *controls, *told, *assay, "--blank", image)
    assert (done.code, "(controls)" in done.err) == (1, True)
    assert "1 slides known to be negative are too few" in done.err
    done = membrana("calibrate", *controls, *told, *assay)
    assert "are the same picture" in done.err
    done = membrana("calibrate", *controls, *told, "--scanner", "camera 1", "--antibody", " ")
    assert "--antibody is empty" in done.err
    assert not (tmp_path / "out.json").exists()


def test_a_calibration_of_other_masks_is_doubted_in_words(folder, tmp_path):
    proposed = source_of(None, "255", None, proposal=True, detector=RULE)
    drawn = source_of(folder / "masks", "255", None, proposal=False, detector=RULE)
    path = tmp_path / "laboratory.json"  # names no detector: measured with the built-in rule
    path.write_text(json.dumps({"masks": "opencv 1.0 cpu", "weights_sha256": None}))
    assert doubts_on(path, proposed) == doubts_on(None, drawn) == []
    [doubt] = doubts_on(path, drawn)
    assert "laboratory.json was measured on masks from opencv" in doubt
    path.write_text(json.dumps({"masks": proposed.words, "weights_sha256": "0" * 64}))
    assert "with other weights" in doubts_on(path, proposed)[0]
    path.write_text("{}")
    assert "an unnamed source" in doubts_on(path, drawn)[0]
