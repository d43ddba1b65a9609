"""Outlines that people send as GeoJSON: checked in plain words, coordinates in px of a slide.

What a feature is for, and which of them are taken, is said by those who ask (regions, masks).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backend.kit.errors import Unprocessable

if TYPE_CHECKING:
    import shapely

POLYGONS = frozenset({"Polygon", "MultiPolygon"})
UNCLASSIFIED = "(unclassified)"
DECIMALS = 2
ANYWHERE = 1e9
"""Px: past this it is no place on a slide but a mistake."""
EDGE_PX = 1.0
"""A vertex this far outside was dragged to the edge: it is put on it."""
Corner = tuple[int, int]
Ring = list[list[float]]
Rings = list[Ring]
"""Of one polygon: its outline first, the others are holes."""


class OutlineInvalid(Unprocessable):
    code, title = "region_invalid", "This region can't be used"


def features_of(content: Any, refused: type[Unprocessable] = OutlineInvalid) -> list[Any]:
    """Return what a Feature, a FeatureCollection or a bare list holds; QuPath writes all three."""
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "Feature":
        return [content]
    features = content.get("features") if kind == "FeatureCollection" else content
    if not isinstance(features, list):
        raise refused(
            "Send a GeoJSON Feature, or a FeatureCollection of polygons.", code="not_geojson"
        )
    return features


def properties_of(
    feature: Any, where: str, refused: type[Unprocessable] = OutlineInvalid
) -> dict[str, Any]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise refused(f"{where} is no GeoJSON Feature.", code="not_geojson")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise refused(f"The properties of {where.lower()} are no object.", code="not_geojson")
    return properties


def class_of(value: Any, longest: int) -> str:
    """Return what a feature says that it is, cut to what is worth repeating."""
    if isinstance(value, dict):
        names = value.get("names")
        # before version 0.4 of QuPath a derived class was a list of names
        value = value.get("name") or ": ".join(map(str, names if isinstance(names, list) else ()))
    return str(value or "").strip()[:longest] or UNCLASSIFIED


def polygons_of(
    geometry: dict[str, Any],
    width: int,
    height: int,
    where: str,
    *,
    most_vertices: int,
    corner: Corner = (0, 0),
    refused: type[Unprocessable] = OutlineInvalid,
) -> list[Rings]:
    """Return the polygons of a Polygon or MultiPolygon, each ring closed and inside the slide.

    corner: is added to every place. refused: the error where there are no coordinates.
    """
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons:
        raise refused(f"{where} has no coordinates.", code="not_geojson")
    if not all(isinstance(rings, list) and rings for rings in polygons):
        raise OutlineInvalid(f"{where} has no outline.", code="not_geojson")
    return [
        [ring_of(ring, width, height, where, most_vertices, corner) for ring in rings]
        for rings in polygons
    ]


def ring_of(
    ring: Any, width: int, height: int, where: str, most_vertices: int, corner: Corner
) -> Ring:
    """Return a closed ring of rounded points inside the slide."""
    points: Ring = []
    for place in ring if isinstance(ring, list) else ():
        if len(points) > most_vertices:
            raise OutlineInvalid(
                f"{where} has more than {most_vertices} vertices: simplify it.",
                code="too_many_vertices",
            )
        x, y = pair(place, where)
        point = [inside(x + corner[0], width, where), inside(y + corner[1], height, where)]
        if not points or point != points[-1]:
            points.append(point)
    if points and points[0] != points[-1]:
        points.append(points[0])
    if len(points) < 4:
        raise OutlineInvalid(f"{where} needs at least three corners.", code="too_few_vertices")
    return points


def pair(place: Any, where: str) -> tuple[float, float]:
    numbers = place[:2] if isinstance(place, list) else []
    real = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    # not true for NaN either
    if len(numbers) != 2 or not real or not all(abs(each) < ANYWHERE for each in numbers):
        raise OutlineInvalid(
            f"{where} has a point that is no pair [x, y] of numbers.", code="not_geojson"
        )
    return numbers[0], numbers[1]


def inside(value: float, most: int, where: str) -> float:
    if not -EDGE_PX <= value <= most + EDGE_PX:
        raise OutlineInvalid(
            f"{where} reaches outside the slide: {value:g} is not between 0 and {most} px.",
            code="outside_slide",
        )
    return round(min(max(float(value), 0.0), float(most)), DECIMALS)


def shape_of(polygons: Sequence[Rings], where: str) -> "shapely.MultiPolygon":
    """Return the shape of polygons; raise OutlineInvalid if they cross themselves or are nothing.

    What is inside of an outline that crosses itself would be anybody's guess.
    """
    # its library is loaded when somebody draws, not when the service starts
    import shapely

    shape = shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])
    if shape.is_valid and shape.area > 0:
        return shape
    reason = shapely.is_valid_reason(shape)
    words, _, place = reason.partition("[")
    at = f" near x, y = {place.rstrip(']').replace(' ', ', ')}" if place else ""
    if "Self-intersection" in words:
        raise OutlineInvalid(
            f"{where} crosses or touches itself{at}. Draw it again.", code="self_intersection"
        )
    complaint = (
        "has no area" if reason == "Valid Geometry" else f"is not valid: {words.lower()}{at}"
    )
    raise OutlineInvalid(f"{where} {complaint}.")
