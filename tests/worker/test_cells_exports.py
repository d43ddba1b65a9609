"""Cells as CSV and as GeoJSON for QuPath: nothing is lost, and equal cells give equal bytes."""

import csv
import io
import json
from uuid import UUID

import numpy as np
import shapely

from backend.kit.product import RESEARCH_USE_ONLY
from models.her2.classes import CLASSES
from models.her2.pixels import Field, Regions
from models.her2.protocols import load
from tests.support.reported import REGIONS, REPORT_ID, SIDE, URN, included, measured
from worker.exporters import cells_csv, cells_geojson, tiles_csv
from worker.her2.slide import regions_of


def marked() -> Regions:
    return regions_of(REGIONS, Field(np.full((SIDE, SIDE, 3), 255, np.uint8), 0.25))


def test_csv_is_one_row_a_cell() -> None:
    cells = measured()[0]
    text = "".join(cells_csv.lines(cells, included(cells), urn=URN))
    assert text == "".join(cells_csv.lines(cells, included(cells), urn=URN))
    head = text.partition("\r\n")[0]
    assert RESEARCH_USE_ONLY in head
    assert URN in head
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(cells)
    assert [CLASSES.index(row["class"]) for row in rows] == cells.label.tolist()
    assert [row["included"] for row in rows[:5]] == ["1", "1", "1", "0", "1"]
    np.testing.assert_allclose([float(row["x"]) for row in rows], cells.x, atol=0.006)
    np.testing.assert_allclose([float(row["x_um"]) for row in rows], cells.x / 4, atol=0.006)
    np.testing.assert_allclose(
        [float(row["own_completeness"]) for row in rows], cells.unshared, atol=6e-5
    )


def test_tiles_add_up_to_the_slide_and_each_has_its_own_score() -> None:
    cells, document, *_ = measured()
    protocol, regions = load("asco_cap_2023_breast"), marked()
    shown = document["heterogeneity"]["map"]
    text = "".join(tiles_csv.lines(cells, protocol, regions, shown, urn=URN))
    assert RESEARCH_USE_ONLY in text.partition("\r\n")[0]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == document["tiles"]
    for row, one in zip(rows, shown, strict=True):
        assert sum(int(row[name]) for name in CLASSES) == int(row["cells"]) == one["cells"]
        assert (float(row["x_um"]), float(row["x"])) == (one["x_um"], 4 * one["x_um"])
        assert row["score"] == (one["score"] or "")
        assert 0 < float(row["tumour_um2"]) <= float(row["side_um"]) ** 2
    for name in CLASSES:
        assert sum(int(row[name]) for row in rows) == document["counts"][name]


def test_no_field_of_a_table_begins_as_a_formula_does() -> None:
    cells, document, *_ = measured()
    tables = (
        cells_csv.lines(cells, included(cells), urn=URN),
        tiles_csv.lines(
            cells,
            load("asco_cap_2023_breast"),
            marked(),
            document["heterogeneity"]["map"],
            urn=URN,
        ),
    )
    for lines in tables:
        fields = {each for row in csv.reader(io.StringIO("".join(lines))) for each in row}
        assert not [each for each in fields if each.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_geojson_goes_through_a_reader_like_qupaths_and_comes_back() -> None:
    cells = measured()[0]
    text = "".join(
        cells_geojson.pieces(cells, included(cells), REGIONS, report_id=REPORT_ID, urn=URN)
    )
    whole = json.loads(text)
    assert whole["membrana"] == {"research_use_only": RESEARCH_USE_ONLY, "report": URN}
    kinds = [each["properties"]["objectType"] for each in whole["features"]]
    assert kinds == ["annotation"] * len(REGIONS) + ["cell"] * len(cells)
    assert len({UUID(each["id"]) for each in whole["features"]}) == len(kinds)
    found = whole["features"][len(REGIONS) :]
    for number, feature in enumerate(found):
        said = feature["properties"]
        name = said["classification"]["name"]
        label = CLASSES[cells.label[number]]
        assert name == "Excluded" if number == 3 else name.split()[0] == label
        assert all(0 <= each <= 255 for each in said["classification"]["color"])
        assert all(isinstance(value, float) for value in said["measurements"].values())
    membranes = shapely.from_geojson([json.dumps(each["geometry"]) for each in found])
    nuclei = shapely.from_geojson([json.dumps(each["nucleusGeometry"]) for each in found])
    np.testing.assert_allclose(
        shapely.get_coordinates(membranes).reshape(len(cells), 17, 2)[:, :16],
        cells.membrane,
        atol=0.051,
    )
    assert (shapely.area(nuclei) > 0).mean() > 0.99
    close = shapely.distance(nuclei, shapely.points(cells.x, cells.y))
    assert np.median(close) == 0
    widths = [each["properties"]["measurements"]["Membrane: Width µm"] for each in found]
    np.testing.assert_allclose(widths, cells.width_um, atol=6e-5)


def test_a_cell_keeps_its_id() -> None:
    cells = measured()[0].take(np.arange(3))
    every = np.ones(3, np.bool_)

    def ids(report_id: str) -> list[str]:
        text = "".join(cells_geojson.pieces(cells, every, [], report_id=report_id, urn=URN))
        return [each["id"] for each in json.loads(text)["features"]]

    assert ids(REPORT_ID) == ids(REPORT_ID)
    assert set(ids(REPORT_ID)).isdisjoint(ids("0192d5f1-0000-7000-8000-0000000000bb"))
