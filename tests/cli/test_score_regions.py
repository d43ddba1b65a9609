"""`membrana score --regions`: the tumour of a picture from a GeoJSON file, QuPath's too."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.her2.pixels import RIM_UM
from tests.cli.test_score import membrana
from tests.models.her2.mosaic import MPP, mosaic
from tests.support.scoring import box
from worker.commands.image_files import Picture
from worker.commands.mask_files import regions_in
from worker.commands.options import Refused
from worker.commands.score import score
from worker.commands.sources import source_of

SIDE = 400
RIM = RIM_UM / MPP


def picture():
    return Picture(Path("case.ome.tif"), np.zeros((SIDE, 2 * SIDE, 3), np.uint8), MPP, "0" * 64)


def written(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def of_qupath(left, top, right, bottom, name):
    """A feature as QuPath writes its annotations."""
    feature = box(left, top, right, bottom)
    feature["id"] = "6a9ed6a4-8d2c-4a3a-a6c5-0a0a5b1c2d3e"
    feature["properties"] = {
        "objectType": "annotation",
        "classification": {"name": name, "color": [200, 0, 0]},
    }
    return feature


def test_tumour_less_exclusions_less_a_rim(tmp_path):
    path = written(
        tmp_path / "regions.geojson",
        of_qupath(0, 0, 300, SIDE, "Tumor"),
        of_qupath(100, 100, 150, 150, "Ignore*"),
    )
    regions, sha256 = regions_in(picture(), path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert regions.tumour.area == pytest.approx((300 - RIM) * (SIDE - 2 * RIM) - 2500)
    x, y = np.array([10.0, 120.0, 200.0, 320.0]), np.array([200.0, 120.0, 200.0, 200.0])
    assert regions.holds(x, y).tolist() == [False, False, True, False]


def test_what_is_no_region_beside_the_tumour_is_named(tmp_path, capsys):
    path = written(
        tmp_path / "regions.geojson",
        of_qupath(0, 0, 300, SIDE, "Tumor"),
        of_qupath(0, 0, 300, SIDE, "Stroma"),
        of_qupath(0, 0, 9, 9, "Tumor: Positive"),
    )
    assert not regions_in(picture(), path)[0].empty
    said = "regions.geojson: no regions, and left: Stroma (1), Tumor: Positive (1)"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["case.ome.tif.geojson", "case.ome.geojson", "case.json"])
def test_a_folder_is_searched_by_the_pictures_name(tmp_path, name):
    with pytest.raises(Refused, match="no regions for case") as refused:
        regions_in(picture(), tmp_path)
    assert refused.value.problem_code == "regions_missing"
    written(tmp_path / name, box(0, 0, 300, 300))
    regions, _ = regions_in(picture(), tmp_path)
    assert not regions.empty


def test_exclusions_alone_leave_no_tumour(tmp_path):
    path = written(tmp_path / "regions.geojson", box(0, 0, 300, 300, "exclude"))
    assert regions_in(picture(), path)[0].empty


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("{", "not_geojson", "is no GeoJSON"),
        ("\ud800", "not_geojson", "is no GeoJSON"),
        ("[" * 100_000, "not_geojson", "is no GeoJSON"),
        ('{"type": "Point"}', "not_geojson", "Feature"),
        (of_qupath(0, 0, 9, 9, "Stroma"), "region_kind", "one of tumour, exclude"),
        (box(0, 0, 2 * SIDE, 9 * SIDE), "outside_slide", f"not between 0 and {SIDE} px"),
        ({**box(0, 0, 9, 9), "geometry": {"type": "Point"}}, "not_a_polygon", "not Point"),
    ],
)
def test_what_is_no_region_is_said_in_words(tmp_path, content, code, words):
    path = tmp_path / "drawn.geojson"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(Refused, match=words) as refused:
        regions_in(picture(), path)
    assert refused.value.problem_code == code
    assert str(refused.value).startswith("drawn.geojson")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Refused, match="can't be read: No such file") as refused:
        regions_in(picture(), tmp_path / "none.geojson")
    assert refused.value.problem_code == "regions_missing"


def test_one_file_is_not_for_many_pictures(tmp_path):
    path = written(tmp_path / "regions.geojson", box(0, 0, 300, 300))
    images = [tmp_path / f"{name}.png" for name in "ab"]
    with pytest.raises(Refused, match="folder of GeoJSON"):
        score(images, tmp_path / "out", proposal=True, regions=path)
    assert source_of(None, "255", None, proposal=True, regions=path).regions == path


def test_only_cells_in_the_drawn_tumour_are_scored(tmp_path):
    half = 200
    drawn = mosaic(lambda x, _, g: np.where(x < half, "IC", "N"), seed=4)
    Image.fromarray(drawn.image).save(tmp_path / "case.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(drawn.mask.astype(np.uint8) * 255).save(tmp_path / "masks" / "case.png")
    path = written(
        tmp_path / "case.geojson",
        of_qupath(0, 0, 768, 768, "Tumour"),
        of_qupath(0, 0, half + 40, 768, "Exclusion"),
    )
    out = tmp_path / "out"
    done = membrana(
        "score",
        *(tmp_path / "case.png", "--mask", tmp_path / "masks", "--mpp", MPP),
        *("--regions", path, "-o", out),
    )
    assert done.returncode == 0, done.stderr
    [document] = json.loads(done.stdout)
    assert document["score"] == "0"
    assert document["percent"]["N"]["value"] == 100
    assert "whole_as_tumour" not in {flag["code"] for flag in document["flags"]}
    assert "not counted" in document["tumour"]
    assert document["provenance"]["regions_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    area = (768 - RIM - half - 40) * (768 - 2 * RIM) * MPP**2
    assert document["region_area_mm2"] == pytest.approx(area / 1e6, abs=1e-7)
    assert document["evaluated_area_mm2"] == pytest.approx(area / 1e6, rel=0.01)
    with (out / "case.png.cells.csv").open() as file:
        assert min(float(row["x"]) for row in csv.DictReader(file)) >= half + 40
