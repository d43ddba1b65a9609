"""GeoJSON of regions: what people send is checked in plain words, what is kept has one spelling.

Coordinates are level-0 px of the slide, x right and y down. A feature that QuPath has classified,
and that does not say `kind` as we do, counts from where QuPath does (slides/catalogue/frame.py).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from backend.her2.regions.tables import RegionKind
from backend.kit.db.base import new_id
from backend.kit.errors import Unprocessable

if TYPE_CHECKING:
    import shapely

MOST_VERTICES = 10_000
"""Of one region."""
MOST_REGIONS = 500
"""Of one file, whatever stands beside them: an export of QuPath may hold every cell of a slide."""
MOST_NAME = 200
DECIMALS = 2
ANYWHERE = 1e9
"""Px: past this it is no place on a slide but a mistake."""
EDGE_PX = 1.0
"""A vertex this far outside was dragged to the edge: it is put on it."""
WORDS = {
    "tumor": RegionKind.TUMOUR,
    "invasive": RegionKind.TUMOUR,
    "exclusion": RegionKind.EXCLUDE,
    "excluded": RegionKind.EXCLUDE,
    "ignore*": RegionKind.EXCLUDE,
    "artifact": RegionKind.ARTEFACT,
}
"""How other programs, QuPath first of all, name the same."""
UNCLASSIFIED = "(unclassified)"
OTHER_OBJECTS = frozenset({"cell", "detection", "tile", "tma_core"})
"""Of QuPath: found by its programs, not drawn by a person."""
COLOURS = {
    RegionKind.TUMOUR: (200, 0, 0),
    RegionKind.EXCLUDE: (90, 90, 90),
    RegionKind.ARTEFACT: (150, 110, 0),
}
Corner = tuple[int, int]
Ring = list[list[float]]
Rings = list[Ring]


class RegionInvalid(Unprocessable):
    code, title = "region_invalid", "This region can't be used"


class OtherFeature(RegionInvalid):
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
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def from_document(content: bytes) -> list[Region]:
    """Read what `document` wrote."""
    return [
        Region(
            id=feature["id"],
            kind=RegionKind(feature["properties"]["kind"]),
            name=feature["properties"]["name"],
            polygons=polygons_of(feature["geometry"]),
        )
        for feature in json.loads(content)["features"]
    ]


def polygons_of(geometry: dict[str, Any]) -> list[Rings]:
    coordinates = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" else list(coordinates)


def parse(
    content: Any, *, width: int, height: int, corner: Corner = (0, 0)
) -> tuple[list[Region], Counter[str]]:
    """Return the regions of a Feature, a FeatureCollection or a list, and what was left of it.

    An export of QuPath holds more than regions: annotations of other classes (Stroma), of none, or
    of derived ones (Tumor: Positive), lines and points, cells. They are counted by name, and the
    regions beside them are taken. Raise RegionInvalid in plain words, also where nothing is taken.

    corner: where QuPath's origin lies in the slide's own px.
    """
    regions: list[Region] = []
    left: Counter[str] = Counter()
    first: RegionInvalid | None = None
    for feature, where in features_of(content):
        try:
            regions.append(
                region_of(feature, width=width, height=height, where=where, corner=corner)
            )
        except OtherFeature as other:
            left[other.name] += 1
            first = first or other
        if len(regions) > MOST_REGIONS:
            raise RegionInvalid(
                f"A slide takes {MOST_REGIONS} regions; these are more.", code="too_many_regions"
            )
    if first is not None and not regions:
        raise first
    return regions, left


def features_of(content: Any) -> Iterator[tuple[Any, str]]:
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "Feature":
        yield content, "The region"
        return
    features = content.get("features") if kind == "FeatureCollection" else content
    if not isinstance(features, list):
        raise RegionInvalid(
            "Send a GeoJSON Feature, or a FeatureCollection of polygons.", code="not_geojson"
        )
    for number, feature in enumerate(features, 1):
        yield feature, f"Region {number}"


def region_of(
    feature: Any,
    *,
    width: int,
    height: int,
    where: str = "The region",
    corner: Corner = (0, 0),
) -> Region:
    """Check one GeoJSON feature against a slide of that size in level-0 px."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise RegionInvalid(f"{where} is no GeoJSON Feature.", code="not_geojson")
    geometry, properties = feature.get("geometry"), feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise RegionInvalid(f"The properties of {where.lower()} are no object.", code="not_geojson")
    geometry = geometry if isinstance(geometry, dict) else {}
    shape = geometry.get("type")
    if shape not in {"Polygon", "MultiPolygon"}:
        raise OtherFeature(
            f"{where} must be a Polygon or a MultiPolygon, not {shape}.",
            name=f"{class_of(properties)} ({shape})",
            code="not_a_polygon",
        )
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if shape == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons:
        raise RegionInvalid(f"{where} has no coordinates.", code="not_geojson")
    origin = (0, 0) if properties.get("kind") else corner
    region = Region(
        id=id_of(feature.get("id")),
        kind=kind_of(properties, where),
        name=name_of(properties),
        polygons=[rings_of(rings, width, height, where, corner=origin) for rings in polygons],
    )
    if region.vertices > MOST_VERTICES:
        raise RegionInvalid(
            f"{where} has {region.vertices} vertices, and {MOST_VERTICES} are taken: simplify it.",
            code="too_many_vertices",
        )
    require_simple(region, where)
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
    name, thing = class_of(properties), properties.get("objectType")
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


def class_of(properties: dict[str, Any]) -> str:
    """Return what a feature says that it is, cut to what is worth repeating."""
    said = properties.get("kind") or properties.get("classification")
    if isinstance(said, dict):
        # before version 0.4 of QuPath a derived class was a list of names
        said = said.get("name") or ": ".join(map(str, as_list(said.get("names"))))
    return str(said or "").strip()[:MOST_NAME] or UNCLASSIFIED


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def name_of(properties: dict[str, Any]) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", str(properties.get("name") or ""))[:MOST_NAME]


def rings_of(
    rings: Any,
    width: int,
    height: int,
    where: str,
    *,
    most_vertices: int = MOST_VERTICES,
    corner: Corner = (0, 0),
) -> Rings:
    if not isinstance(rings, list) or not rings:
        raise RegionInvalid(f"{where} has no outline.", code="not_geojson")
    return [ring_of(ring, width, height, where, most_vertices, corner) for ring in rings]


def ring_of(
    ring: Any, width: int, height: int, where: str, most_vertices: int, corner: Corner
) -> Ring:
    """Return a closed ring of rounded points inside the slide."""
    points: Ring = []
    for place in ring if isinstance(ring, list) else ():
        if len(points) > most_vertices:
            raise RegionInvalid(
                f"{where} has more than {most_vertices} vertices: simplify it.",
                code="too_many_vertices",
            )
        point = [
            inside(value + start, most, where)
            for (value, most), start in zip(pairs(place, width, height, where), corner, strict=True)
        ]
        if not points or point != points[-1]:
            points.append(point)
    if points and points[0] != points[-1]:
        points.append(points[0])
    if len(points) < 4:
        raise RegionInvalid(f"{where} needs at least three corners.", code="too_few_vertices")
    return points


def pairs(place: Any, width: int, height: int, where: str) -> list[tuple[float, int]]:
    numbers = place[:2] if isinstance(place, list) else []
    real = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    # not true for NaN either
    if len(numbers) != 2 or not real or not all(abs(each) < ANYWHERE for each in numbers):
        raise RegionInvalid(
            f"{where} has a point that is no pair [x, y] of numbers.", code="not_geojson"
        )
    return [(numbers[0], width), (numbers[1], height)]


def inside(value: float, most: int, where: str) -> float:
    if not -EDGE_PX <= value <= most + EDGE_PX:
        raise RegionInvalid(
            f"{where} reaches outside the slide: {value:g} is not between 0 and {most} px.",
            code="outside_slide",
        )
    return round(min(max(float(value), 0.0), float(most)), DECIMALS)


def require_simple(region: Region, where: str) -> None:
    """Refuse outlines that cross themselves: what is inside would be anybody's guess."""
    shape_of(region.polygons, where)


def shape_of(polygons: Sequence[Rings], where: str) -> "shapely.MultiPolygon":
    """Return the shape of polygons; raise RegionInvalid if they cross themselves or are nothing."""
    # its library is loaded when somebody draws, not when the service starts
    import shapely

    shape = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])
    if shape.is_valid and shape.area > 0:
        return shape
    reason = shapely.is_valid_reason(shape)
    words, _, place = reason.partition("[")
    at = f" near x, y = {place.rstrip(']').replace(' ', ', ')}" if place else ""
    if "Self-intersection" in words:
        raise RegionInvalid(
            f"{where} crosses or touches itself{at}. Draw it again.", code="self_intersection"
        )
    said = "has no area" if reason == "Valid Geometry" else f"is not valid: {words.lower()}{at}"
    raise RegionInvalid(f"{where} {said}.", code="region_invalid")
