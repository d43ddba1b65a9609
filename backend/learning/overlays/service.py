"""Overlay tiles, the SQL side: which prediction, which masks, and when a cached one is stale."""

import hashlib
from collections.abc import Callable

from sqlalchemy.orm import Session

from backend.kit.geometry import Region0, SizePx
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import newest_masks
from backend.learning.overlays import colours
from backend.learning.overlays.colours import Overlay
from backend.learning.predictions import service as predictions
from backend.learning.predictions.service import NoPrediction
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import installed_grid
from backend.slides.patches.grid import scale
from backend.slides.patches.images import Pixels, png
from backend.slides.reading.tiles import tile_box

Tile = tuple[str, Callable[[], bytes]]
"""An ETag, and the PNG if it is asked for."""


def tile(
    session: Session,
    settings: Settings,
    blobs: Blobs,
    *,
    slide_id: str,
    kind: Overlay,
    level: int,
    place: tuple[int, int],
    model_version_id: str | None,
) -> Tile:
    """Return a tile of an overlay; `place` is its (column, row). Nothing known is transparent."""
    slide, width, height = slides.visible(session, slide_id)
    box = tile_box(width, height, level, *place)
    analysis_mpp = installed_grid.recorded_mpp(session)
    if slide.mpp is None or analysis_mpp is None:
        return painted("none", colours.transparent(box.size))
    region = box.region.scaled(1 / scale(slide.mpp, analysis_mpp))
    if kind == Overlay.ANNOTATION:
        return people(session, blobs, slide, region, box.size)
    return model(session, settings, slide, kind, region, box.size, model_version_id)


def painted(etag: str, pixels: Pixels) -> Tile:
    return etag, lambda: png(pixels)


def model(
    session: Session,
    settings: Settings,
    slide: Slide,
    kind: Overlay,
    region: Region0,
    size: SizePx,
    model_version_id: str | None,
) -> Tile:
    """Return what a model version sees; its ETag counts the shards, so new ones are fetched."""
    prediction = (
        predictions.of_version(session, slide.id, model_version_id)
        if model_version_id
        else predictions.shown(session, slide.id)
    )
    if prediction is None:
        return painted("none", colours.transparent(size))
    shards = predictions.shard_count(session, prediction.id)
    try:
        pyramid = predictions.pyramid_of(slide, prediction, settings)
    except NoPrediction:
        return painted("none", colours.transparent(size))
    etag = f"{prediction.id}-{shards}-{pyramid.readable_levels}-{kind}"
    return etag, lambda: png(colours.model_tile(pyramid, region, size, kind))


def people(session: Session, blobs: Blobs, slide: Slide, region: Region0, size: SizePx) -> Tile:
    """Return people's newest masks; its ETag names every one of them."""
    rows, columns = colours.patches_under(region)
    masks = newest_masks.in_box(session, slide.id, rows, columns)
    etag = hashlib.sha256(repr(masks).encode()).hexdigest()[:32]
    return etag, lambda: png(colours.annotation_tile(blobs, masks, region, size))
