"""Overlay tiles, the SQL side: which prediction, which masks, and when a cached one is stale."""

import hashlib
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.kit.geometry import Region0, SizePx
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations.tables import Annotation
from backend.learning.predictions import overlays, service
from backend.learning.predictions.overlays import Overlay
from backend.learning.predictions.service import NoPrediction
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import installed_grid
from backend.slides.patches.grid import scale
from backend.slides.patches.pictures import Pixels, png
from backend.slides.patches.tables import Patch
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
        return painted("none", overlays.transparent(box.size))
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
        service.of_version(session, slide.id, model_version_id)
        if model_version_id
        else service.shown(session, slide.id)
    )
    if prediction is None:
        return painted("none", overlays.transparent(size))
    shards = service.shard_count(session, prediction.id)
    try:
        pyramid = service.pyramid_of(slide, prediction, settings)
    except NoPrediction:
        return painted("none", overlays.transparent(size))
    etag = f"{prediction.id}-{shards}-{pyramid.readable_levels}-{kind}"
    return etag, lambda: png(overlays.model_tile(pyramid, region, size, kind))


def people(session: Session, blobs: Blobs, slide: Slide, region: Region0, size: SizePx) -> Tile:
    """Return people's newest masks; its ETag names every one of them."""
    rows, columns = overlays.patches_under(region)
    found = session.execute(
        select(Patch.row, Patch.column, Annotation.mask_sha256)
        .join(Annotation, Annotation.patch_id == Patch.id)
        .where(
            Patch.slide_id == slide.id,
            Patch.revision > 0,
            Annotation.revision == Patch.revision,
            Patch.row.between(rows.start, rows.stop - 1),
            Patch.column.between(columns.start, columns.stop - 1),
        )
        .order_by(Patch.row, Patch.column)
    ).all()
    masks = {(row, column): sha256 for row, column, sha256 in found}
    etag = hashlib.sha256(repr(masks).encode()).hexdigest()[:32]
    return etag, lambda: png(overlays.annotation_tile(blobs, masks, region, size))
