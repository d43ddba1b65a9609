"""Cells as CSV and as GeoJSON for QuPath: nothing is lost, and equal cells give equal bytes."""

import csv
import io
import json
from uuid import UUID

import numpy as np
import shapely

from backend.exchange.words import RESEARCH_USE_ONLY
from models.her2.classes import CLASSES
from tests.reported import REGIONS, REPORT_ID, URN, included, measured
from worker.exporters import cells_csv, cells_geojson


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
