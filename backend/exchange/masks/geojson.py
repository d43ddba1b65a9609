"""Masks as QuPath's GeoJSON: what is written of a slide, and what people send is read as.

Coordinates are level-0 px of the slide, x right and y down.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeGuard
from uuid import UUID, uuid5

from backend.exchange.masks.outlines import geometry_of
from backend.exchange.masks.scanlines import Edges
from backend.kit.errors import Unprocessable
from backend.kit.outlines import (
    POLYGONS,
    class_of,
    features_of,
    polygons_of,
    properties_of,
    shape_of,
)
from backend.kit.product import RESEARCH_USE_ONLY
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import masks
from backend.learning.annotations.newest_masks import NewestMask
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import PatchState

if TYPE_CHECKING:
    import shapely

MEMBRANE = 255
THIN = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString"})
MOST_FEATURES = 50_000
MOST_VERTICES = 400_000
"""Of one ring: the pixels of a patch have fewer corners."""
MOST_NAME = 100


class Drawing(StrEnum):
    """What an outline says of its pixels."""

    MEMBRANE = "Membrane"
    IGNORE = "Ignore*"
    UNSEEN = "Unseen*"


WORDS = {
    "membrane": Drawing.MEMBRANE,
    "ignore*": Drawing.IGNORE,
    "ignore": Drawing.IGNORE,
    "unseen*": Drawing.UNSEEN,
}
"""Names of QuPath's classes; a star marks those that QuPath leaves out of its own measurements."""
VALUES = {
    Drawing.MEMBRANE: MEMBRANE,
    Drawing.IGNORE: masks.IGNORE,
    Drawing.UNSEEN: masks.UNSEEN,
}
COLOURS = {
    Drawing.MEMBRANE: (255, 210, 60),
    Drawing.IGNORE: (180, 180, 180),
    Drawing.UNSEEN: (120, 120, 160),
}


class GeoJsonInvalid(Unprocessable):
    code, title = "not_geojson", "This GeoJSON can't be used"


@dataclass(frozen=True)
class Shape:
    """An outline somebody drew. patch_id, revision: of the annotation that it was exported from."""

    drawing: Drawing
    outline: "shapely.MultiPolygon"
    patch_id: str | None
    revision: int | None
    where: str

    @cached_property
    def edges(self) -> Edges:
        """Of the outline: kept, since it may lie over many patches."""
        return Edges.of(self.outline)


def pieces(
    slide: Slide, newest: Iterable[NewestMask], blobs: Blobs, corner: tuple[int, int] = (0, 0)
) -> Iterator[str]:
    """Yield a slide's masks as a FeatureCollection in pieces, one patch in memory at a time.

    corner: where QuPath's origin lies in the slide's own px (slides/catalogue/frame.py).

    A patch is a Feature of its membrane, one of what is ignored where there is such, and of a patch
    that is painted only in part one of what nobody has looked at. One whose mask is empty has no
    outline: it is named in the member `membrana` at the end.
    """
    yield '{"type":"FeatureCollection","features":['
    comma = ""
    empty = []
    for each in newest:
        mask = masks.decode_stored(blobs.read(each.mask_sha256))
        feature_count = 0
        for drawing, value in VALUES.items():
            geometry = geometry_of(
                mask == value, each.x0 - corner[0], each.y0 - corner[1], each.size0
            )
            if geometry is not None:
                yield comma + compact(feature(each, drawing, geometry))
                comma = ",\n"
                feature_count += 1
        if not feature_count:
            empty.append({"patch_id": each.patch_id, "revision": each.revision})
    description = {
        "research_use_only": RESEARCH_USE_ONLY,
        "slide": {"id": slide.id, "sha256": slide.sha256, "mpp": slide.mpp},
        "patches_without_membrane": empty,
    }
    yield f'],"membrana":{compact(description)}}}\n'


def compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def feature(mask: NewestMask, drawing: Drawing, geometry: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation as QuPath has it: `metadata` is what it keeps of it, as text."""
    provenance = {"patch_id": mask.patch_id, "revision": mask.revision, "author": mask.author_id}
    return {
        "type": "Feature",
        "id": str(uuid5(UUID(mask.patch_id), f"{mask.revision} {drawing}")),
        "geometry": geometry,
        "properties": {
            "objectType": "annotation",
            "name": f"row {mask.row}, column {mask.column}",
            "classification": {"name": str(drawing), "color": COLOURS[drawing]},
            # an approved mask stays as it is here too
            "isLocked": mask.state == PatchState.APPROVED,
            **provenance,
            "metadata": {name: str(value) for name, value in provenance.items()},
        },
    }


def parse(
    content: Any, *, width: int, height: int, pause: Callable[[], None]
) -> tuple[list[Shape], Counter[str]]:
    """Return the outlines of membrane and of what to ignore or nobody has looked at, and how many
    others there are.

    width, height: level-0 px that the grid of patches covers. pause: called between features; may
    raise what ends the work. Raise GeoJsonInvalid or OutlineInvalid in plain words.
    """
    shapes: list[Shape] = []
    others: Counter[str] = Counter()
    thin = False
    features = features_of(content, GeoJsonInvalid)
    if len(features) > MOST_FEATURES:
        raise GeoJsonInvalid(
            f"At most {MOST_FEATURES} features are taken at once; these are {len(features)}.",
            code="too_many_features",
        )
    for number, each in enumerate(features, 1):
        pause()
        where = f"Feature {number}"
        properties = properties_of(each, where, GeoJsonInvalid)
        name = class_of(properties.get("classification"), MOST_NAME)
        drawing = WORDS.get(name.lower())
        if drawing is None:
            others[name] += 1
            continue
        geometry = each.get("geometry")
        if is_thin(geometry):
            # measured or pointed at in QuPath, never an outline
            others[f"{name} ({geometry['type']})"] += 1
            thin = True
            continue
        shapes.append(
            Shape(
                drawing,
                outline_of(geometry, width, height, where),
                *origin_of(properties, where),
                where,
            )
        )
    if not shapes:
        classes = ", ".join(others) or "nothing at all"
        raise GeoJsonInvalid(
            f"Nothing here is classified as {Drawing.MEMBRANE} or {Drawing.IGNORE}: "
            f"found was {classes}. Give the outlines that class in QuPath and export them again.",
            code="not_a_polygon" if thin else "no_membrane",
        )
    return shapes, others


def is_thin(geometry: Any) -> TypeGuard[dict[str, Any]]:
    """Say whether a geometry is of points or lines: it has no inside."""
    return isinstance(geometry, dict) and geometry.get("type") in THIN


def outline_of(geometry: Any, width: int, height: int, where: str) -> "shapely.MultiPolygon":
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in POLYGONS:
        raise GeoJsonInvalid(
            f"{where} must be a Polygon or a MultiPolygon, not {kind}.", code="not_a_polygon"
        )
    polygons = polygons_of(
        geometry, width, height, where, most_vertices=MOST_VERTICES, refused=GeoJsonInvalid
    )
    return shape_of(polygons, where)


def origin_of(properties: Mapping[str, Any], where: str) -> tuple[str | None, int | None]:
    """Return the patch and revision that an exported feature names, itself or in `metadata`."""
    metadata = properties.get("metadata")
    names = {**(metadata if isinstance(metadata, dict) else {}), **properties}
    patch_id, revision = names.get("patch_id"), names.get("revision")
    if patch_id is None:
        return None, None
    digits = str(revision)
    if not isinstance(patch_id, str) or not digits.isascii() or not digits.isdecimal():
        raise GeoJsonInvalid(
            f"{where} names a patch, but not the revision it was exported from, as a whole number."
        )
    if len(digits) > len(str(1 << 31)):
        raise GeoJsonInvalid(f"{where} names a revision that no patch has.")
    return patch_id, int(digits)
