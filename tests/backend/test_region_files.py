"""Files of regions: how much may stand beside the regions."""

from typing import Any

import pytest

from backend.her2.regions import geojson
from backend.kit.outlines import OutlineInvalid

SQUARE = [[[5, 5], [100, 5], [100, 90], [5, 90], [5, 5]]]


def feature(name: str, thing: str = "annotation") -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": SQUARE},
        "properties": {"objectType": thing, "classification": {"name": name}},
    }


def parsed(features: list[dict[str, Any]]) -> tuple[list[geojson.Region], dict[str, int]]:
    whole = {"type": "FeatureCollection", "features": features}
    regions, left = geojson.parse(whole, width=200, height=200)
    return regions, dict(left)


def test_every_cell_of_a_slide_may_stand_beside_a_region() -> None:
    cells = [feature("Tumor", "cell")] * 200_000
    regions, left = parsed([*cells, feature("Tumor")])
    assert [each.kind for each in regions] == ["tumour"]
    assert left == {"Tumor (cell)": 200_000}


def test_regions_alone_are_counted() -> None:
    with pytest.raises(OutlineInvalid) as refused:
        parsed([feature("Tumor")] * 501)
    assert refused.value.problem_code == "too_many_regions"
