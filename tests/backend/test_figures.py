"""Pictures of a report keep to the region: fields lie in it, and the heat map ends at its edge."""

import re
from typing import Any

import cv2
import numpy as np
import pytest

from backend.exchange.reports import svg_figures
from backend.her2.regions.geojson import Region
from backend.her2.regions.tables import RegionKind
from models.her2.pixels import Field
from tests.support.reported import SIDE, measured
from worker.her2 import report_figures
from worker.her2.slide import regions_of

MPP = 0.25


def region(*corners: tuple[float, float], kind: RegionKind = RegionKind.TUMOUR) -> Region:
    ring = [list(each) for each in (*corners, corners[0])]
    return Region("0192d5f1-0000-7000-8000-00000000000f", kind, "", [[ring]])


def box(left: float, top: float, right: float, bottom: float) -> Region:
    return region((left, top), (right, top), (right, bottom), (left, bottom))


def drawn(*regions: Region) -> tuple[dict[str, Any], dict[str, bytes], Any]:
    """Return the figures of regions on a grey slide, their pictures, and what was scored."""
    cells, document, _, _ = measured()
    slide = Field(np.full((SIDE, SIDE, 3), 90, np.uint8), MPP)
    scored = regions_of(regions, slide)
    heat = document["heterogeneity"]
    pictures: dict[str, bytes] = {}

    def put(content: bytes) -> str:
        pictures[str(len(pictures))] = content
        return str(len(pictures) - 1)

    every = np.ones(len(cells), np.bool_)
    made = report_figures.figures(
        slide, cells, every, heat["map"], heat["tile_um"], regions, scored, put
    )
    return made, pictures, scored


def test_the_field_of_the_highest_h_score_lies_inside_the_region() -> None:
    everywhere, _, _ = drawn(box(0, 0, SIDE, SIDE))
    best = everywhere["fields"][0]
    assert (best["rule"], best["whole"]) == ("highest", True)
    # a region that leaves out the best field, and one that cuts it
    right = best["x_um"] / MPP + 300
    for left, top, low, bottom in ((0, 0, right, SIDE), (0, 0, SIDE, best["y_um"] / MPP + 300)):
        made, _, scored = drawn(box(left, top, low, bottom))
        for shown in made["fields"]:
            corner = np.array([[shown["x_um"], shown["y_um"]]]) / MPP
            inside = scored.areas(np.maximum(corner, 32), corner + shown["side"])[0]
            rimmed = np.prod(corner + shown["side"] - np.maximum(corner, 32))
            assert not shown["whole"] or inside == pytest.approx(rimmed, rel=0.06)
            assert (shown["x_um"], shown["y_um"]) != (best["x_um"], best["y_um"]) or not (
                shown["whole"]
            )


def test_where_no_field_lies_wholly_inside_the_rest_of_its_picture_is_pale() -> None:
    made, pictures, _ = drawn(region((100, 100), (700, 100), (100, 700)))
    assert made["fields"]
    for shown in made["fields"]:
        assert not shown["whole"]
        coded = np.frombuffer(pictures[shown["sha256"]], np.uint8)
        grey = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
        x, y = (round(shown[name] / MPP) for name in ("x_um", "y_um"))
        down, across = np.mgrid[: grey.shape[0], : grey.shape[1]]
        inside = (across + x > 104) & (down + y > 104) & (across + x + down + y < 792)
        outside = (across + x < 96) | (down + y < 96) | (across + x + down + y > 808)
        assert (grey[outside] > 200).all()
        if inside.any():
            assert (grey[inside] < 110).all()


def test_the_heat_map_ends_where_the_region_ends() -> None:
    made, _, _ = drawn(box(100, 100, 1100, 1300), box(1200, 100, 1300, 300))
    overview = made["overview"]
    assert len(overview["clip"]) == 2
    drawing = svg_figures.overview(overview, lambda _: b"", heat=True)
    [clip] = re.findall(r'<clipPath id="scored"><path d="([^"]*)" clip-rule="evenodd"/>', drawing)
    assert clip.count("M") == 2
    inside = drawing[drawing.index('<g clip-path="url(#scored)">') : drawing.index("</g>")]
    assert inside.count("<rect") == sum(tile["score"] is not None for tile in overview["tiles"])
    # colours over brown tissue mislead: each tile that is large enough names its category
    assert inside.count("<text") == inside.count("<rect")
    small = svg_figures.overview({**overview, "tile_px": 1.0}, lambda _: b"", heat=True)
    assert small.count("<text") == 1  # the scale bar's
    assert "clipPath" not in svg_figures.overview(overview, lambda _: b"", heat=False)
    # a report that was computed before has no such rings and is drawn as it was
    del overview["clip"]
    assert "clipPath" not in svg_figures.overview(overview, lambda _: b"", heat=True)
