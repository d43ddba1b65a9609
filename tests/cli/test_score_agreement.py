"""`membrana agreement`: tables of categories and readers, regions, weights, figures."""

import json

import numpy as np
import pytest
from PIL import Image

from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from tests.models.her2.mosaic import MPP, all_of, mixed, mosaic
from tests.support.scoring import box
from worker.commands.agreement_table import rows_of
from worker.commands.options import Refused

SIDE = 640
CASES = {"null": all_of("N"), "rare": mixed(0.08, "WP"), "strong": all_of("IC")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("agreement")
    (root / "masks").mkdir()
    for name, labels in CASES.items():
        drawn = mosaic(labels, seed=4, side_px=SIDE)
        Image.fromarray(drawn.image).save(root / f"{name}.png")
        Image.fromarray(drawn.mask.astype(np.uint8) * 255).save(root / "masks" / f"{name}.png")
    return root


def written(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def compare(membrana, folder, tmp_path):
    """Run the command on lines of a table; return what it did and the document it wrote."""

    def run(*lines, words=(), masks=True):
        table = written(folder / "table.csv", *lines)
        out = tmp_path / "agreement.json"
        told = ["--masks", str(folder / "masks")] if masks else []
        done = membrana("agreement", str(table), *told, *words, "-o", str(out))
        return done, json.loads(out.read_text()) if out.exists() else {}

    return run


def test_readers_who_know_no_0_plus_are_merged_when_asked_and_a_hint_says_so(compare):
    lines = ["image,category,mpp", f"null.png,0,{MPP}", f"rare.png,0,{MPP}", f"strong.png,3+,{MPP}"]
    done, found = compare(*lines)
    assert done.code == 0, done.err
    assert found["concordance"]["hits"] == 2
    assert "--merge-zero-plus" in found["notes"][0]
    assert "--merge-zero-plus" in done.err
    done, found = compare(*lines, words=("--merge-zero-plus",))
    assert found["labels"] == ["0", "1+", "2+", "3+"]
    assert found["concordance"]["hits"] == 3
    assert found["notes"] == []
    assert found["protocol"]["merge_zero_plus"] is True


def test_readers_percentages_disagreements_and_failures_are_all_reported(compare, tmp_path):
    figures = tmp_path / "figures"
    lines = [
        "image,category_a,category_b,category_c,mpp,percent_stained",
        f"null.png,0,0,0,{MPP},0",
        f"rare.png,1+,1+,2+,{MPP},8",
        f"strong.png,3+,3+,,{MPP},95",
        f"gone.png,3+,3+,3+,{MPP},95",
    ]
    done, found = compare(*lines, words=("--into", str(figures)))
    assert done.code == 1, "an image was not there"
    assert [(each["image"], each["code"]) for each in found["failed"]] == [
        ("gone.png", "image_missing")
    ]
    assert found["slides"] == 3
    assert [each["given"] for each in found["images"]] == ["0", "1+", "3+"]
    assert set(found["readers"]) == {"a", "b", "c"}
    assert found["readers"]["c"]["slides"] == 2, "the third was not read by c"
    assert found["readers"]["c"]["kappa"]["reader"] < 1
    logit = found["bland_altman_logit"]["stained"]
    assert logit["n"] == found["bland_altman"]["stained"]["n"] == 3
    assert logit["bias"] != found["bland_altman"]["stained"]["bias"]
    with Image.open(tmp_path / "agreement.bland_altman.png") as plot:
        assert plot.width > 1000
    [figure] = figures.iterdir()
    assert figure.name == "002_rare.png"
    with Image.open(figure) as opened:
        assert opened.width > 1000
    assert "Research Use Only" in found["research_use_only"]


def test_what_is_not_assessable_is_told_with_its_reasons(compare):
    done, found = compare("image,category", "null.png,0", "strong.png,3+")
    assert done.code == 0, done.err
    assert found["not_assessable"]["computed"] == 2
    assert found["not_assessable"]["reasons"] == {"mpp_missing": 2}
    assert found["concordance"]["n"] == 0


def test_regions_and_weights_are_those_that_were_given(compare, folder, tmp_path):
    regions = tmp_path / "regions"
    regions.mkdir()
    drawn = json.dumps({"type": "FeatureCollection", "features": [box(0, 0, SIDE, SIDE // 2)]})
    (regions / "strong.geojson").write_text(drawn)
    lines = ["image,category,mpp", f"strong.png,3+,{MPP}"]
    _, whole = compare(*lines)
    done, half = compare(*lines, words=("--regions", str(regions)))
    assert done.code == 0, done.err
    assert half["regions"] == "drawn"
    assert half["images"][0]["cells"] < 0.6 * whole["images"][0]["cells"]
    both = [*lines, f"null.png,0,{MPP}"]
    done, _ = compare(*both, words=("--regions", str(regions / "strong.geojson")))
    assert (done.code, "(wrong_option)" in done.err) == (2, True), "one file is of one picture"
    config = NetworkConfig("unet-small")
    sha256 = save_ensemble(Ensemble(config, build(config), ()), tmp_path / "weights")
    done, found = compare(*lines, words=("--model", str(tmp_path / "weights")), masks=False)
    assert done.code == 0, done.err
    assert found["weights_sha256"] == sha256
    assert found["masks"] not in {"files", whole["masks"]}


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (("image,category", "null.png,2"), "table", "row 1 .*'2' is no category"),
        (("image,category", "null.png,"), "table", "'' is no category"),
        (("image,category_a,category_b", "null.png,0,four"), "table", "'four' is no category"),
        (("image,category,mpp", "null.png,0,fine"), "table", "'fine' is no number"),
        (("image,category,mpp", "null.png,0,250"), "mpp_implausible", "250 µm per pixel"),
        (("image,category,percent_stained", "null.png,0,101"), "table", "no percentage"),
        (("image,category", "null.png,0", "null.png,1+"), "table", "row 2 .*named twice"),
        (("image,score", "null.png,0"), "table", "needs rows of image and category"),
        (("image,category",), "table", "needs rows"),
        (("image;category", "null.png;0"), "table", "with commas between"),
        (("image,category", "null.png,0,a"), "table", "row 1 .*more cells than the table columns"),
        (("image,category,category", "null.png,0,3+"), "table", "two columns of one name"),
    ],
)
def test_a_wrong_table_is_refused_before_any_image_is_opened(tmp_path, lines, code, words):
    with pytest.raises(Refused, match=words) as refused:
        rows_of(written(tmp_path / "table.csv", *lines))
    assert refused.value.problem_code == code


def test_an_adjudicated_category_goes_before_the_readers_most_frequent_one(tmp_path):
    lines = (
        "image,category,category_a,category_b,patient,mpp",
        "a.png,3+,2+,2+,p,0.25",
        "b.png,not assessable,,,,",
    )
    first, second = rows_of(written(tmp_path / "table.csv", *lines))
    assert (first.given, first.patient, first.mpp) == ("3+", "p", 0.25)
    assert first.readers == {"a": "2+", "b": "2+"}
    assert (second.given, second.patient, second.mpp) == ("not assessable", "b.png", None)
    undecided = ("image,category_a,category_b", "a.png,2+,3+")
    [row] = rows_of(written(tmp_path / "table.csv", *undecided))
    assert row.given is None
