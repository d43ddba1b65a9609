"""GeoJSON of regions: what people send is checked in plain words, what is kept has one spelling.

Coordinates are level-0 px of the slide, x right and y down. A feature that QuPath has classified,
and that does not say `kind` as we do, counts from where QuPath does (slides/catalogue/frame.py).
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from backend.her2.regions.tables import RegionKind
from backend.kit.canonical import canonical
from backend.kit.db.base import new_id
from backend.kit.outlines import (
    POLYGONS,
    Corner,
    OutlineInvalid,
    Ring,
    Rings,
    class_of,
    features_of,
    polygons_of,
    properties_of,
    shape_of,
)

MOST_VERTICES = 10_000
"""Of one region."""
MOST_REGIONS = 500
"""Of one file, whatever stands beside them: an export of QuPath may hold every cell of a slide."""
MOST_NAME = 200
WORDS = {
    "tumor": RegionKind.TUMOUR,
    "invasive": RegionKind.TUMOUR,
    "exclusion": RegionKind.EXCLUDE,
    "excluded": RegionKind.EXCLUDE,
    "ignore*": RegionKind.EXCLUDE,
    "artifact": RegionKind.ARTEFACT,
}
"""How other programs, QuPath first of all, name the same."""
OTHER_OBJECTS = frozenset({"cell", "detection", "tile", "tma_core"})
"""Of QuPath: found by its programs, not drawn by a person."""
COLOURS = {
    RegionKind.TUMOUR: (200, 0, 0),
    RegionKind.EXCLUDE: (90, 90, 90),
    RegionKind.ARTEFACT: (150, 110, 0),
}


class OtherFeature(OutlineInvalid):
    """A feature that is no region. name: under which it is counted among what was left."""

    def __init__(self, detail: str, *, name: str, code: str) -> None:
        super().__init__(detail, code=code)
        self.name = name


@dataclass(frozen=True)
class Region:
    """One region: polygons of rings of [x, y], the first of each its outline, the others holes."""

    id: str
    kind: RegionKind
    name: str
    polygons: list[Rings]

    def feature(self) -> dict[str, Any]:
        one = len(self.polygons) == 1
        return {
            "type": "Feature",
            "id": self.id,
            "geometry": {
                "type": "Polygon" if one else "MultiPolygon",
                "coordinates": self.polygons[0] if one else self.polygons,
            },
            "properties": {"kind": str(self.kind), "name": self.name},
        }

    @property
    def vertices(self) -> int:
        return sum(len(ring) for rings in self.polygons for ring in rings)

    @property
    def area(self) -> float:
        """Area in level-0 px², holes taken off."""
        return sum(
            abs(twice_area(rings[0])) / 2 - sum(abs(twice_area(hole)) / 2 for hole in rings[1:])
            for rings in self.polygons
        )


def twice_area(ring: Ring) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))


def document(regions: Sequence[Region]) -> bytes:
    """Write a set of regions so that equal sets are equal bytes, in whatever order they came."""
    features = [region.feature() for region in sorted(regions, key=lambda each: each.id)]
    whole = {"type": "FeatureCollection", "features": features}
    return canonical(whole, ensure_ascii=False)


def from_document(content: bytes) -> list[Region]:
    """Read what `document` wrote."""
    return [
        Region(
            id=feature["id"],
            kind=RegionKind(feature["properties"]["kind"]),
            name=feature["properties"]["name"],
            polygons=rings_in(feature["geometry"]),
        )
        for feature in json.loads(content)["features"]
    ]


def rings_in(geometry: dict[str, Any]) -> list[Rings]:
    coordinates = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" else list(coordinates)


def parse(
    content: Any, *, width: int, height: int, corner: Corner = (0, 0)
) -> tuple[list[Region], Counter[str]]:
    """Return the regions of a Feature, a FeatureCollection or a list, and what was left of it.

    An export of QuPath holds more than regions: annotations of other classes (Stroma), of none, or
    of derived ones (Tumor: Positive), lines and points, cells. They are counted by name, and the
    regions beside them are taken. Raise OutlineInvalid in plain words, also where nothing is taken.

    corner: where QuPath's origin lies in the slide's own px.
    """
    regions: list[Region] = []
    left: Counter[str] = Counter()
    first: OutlineInvalid | None = None
    for number, feature in enumerate(features_of(content), 1):
        where = "The region" if feature is content else f"Region {number}"
        try:
            regions.append(
                region_of(feature, width=width, height=height, where=where, corner=corner)
            )
        except OtherFeature as other:
            left[other.name] += 1
            first = first or other
        if len(regions) > MOST_REGIONS:
            raise OutlineInvalid(
                f"A slide takes {MOST_REGIONS} regions; these are more.", code="too_many_regions"
            )
    if first is not None and not regions:
        raise first
    return regions, left


def region_of(feature: Any, *, width: int, height: int, where: str, corner: Corner) -> Region:
    """Check one GeoJSON feature against a slide of that size in level-0 px."""
    properties, geometry = properties_of(feature, where), feature.get("geometry")
    shape = geometry.get("type") if isinstance(geometry, dict) else None
    if shape not in POLYGONS:
        raise OtherFeature(
            f"{where} must be a Polygon or a MultiPolygon, not {shape}.",
            name=f"{kind_in(properties)} ({shape})",
            code="not_a_polygon",
        )
    start = (0, 0) if properties.get("kind") else corner
    region = Region(
        id=id_of(feature.get("id")),
        kind=kind_of(properties, where),
        name=name_of(properties),
        polygons=polygons_of(
            geometry, width, height, where, most_vertices=MOST_VERTICES, corner=start
        ),
    )
    if region.vertices > MOST_VERTICES:
        raise OutlineInvalid(
            f"{where} has {region.vertices} vertices, and {MOST_VERTICES} are taken: simplify it.",
            code="too_many_vertices",
        )
    shape_of(region.polygons, where)
    return region


def id_of(given: Any) -> str:
    """Keep a UUID that another program gave, as QuPath does; make one otherwise."""
    try:
        return str(UUID(given))
    except (ValueError, TypeError, AttributeError):
        return new_id()


def kind_of(properties: dict[str, Any], where: str) -> RegionKind:
    """Return what a region is for; QuPath says it by its classification's name.

    Raise OtherFeature for what is no region: of another class, or one of QuPath's other objects.
    """
    name, thing = kind_in(properties), properties.get("objectType")
    kind = WORDS.get(name.lower()) or (
        RegionKind(name.lower()) if name.lower() in list(RegionKind) else None
    )
    if thing in OTHER_OBJECTS:
        raise OtherFeature(
            f"{where} is a {thing}, not an annotation.",
            name=f"{name} ({thing})",
            code="region_kind",
        )
    if kind is None:
        raise OtherFeature(
            f"{where} does not say what it is: give it the property `kind`, one of "
            f"{', '.join(RegionKind)}.",
            name=name,
            code="region_kind",
        )
    return kind


def kind_in(properties: dict[str, Any]) -> str:
    return class_of(properties.get("kind") or properties.get("classification"), MOST_NAME)


def name_of(properties: dict[str, Any]) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", str(properties.get("name") or ""))[:MOST_NAME]
