"""Overlay tiles, the SQL side: which prediction, which masks, and when a cached one is stale.

What a layer is made of is read once and remembered for a moment, not for each of its tiles.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.kit.db.remembered import Remembered
from backend.kit.db.session import Database
from backend.kit.geometry import Region0, SizePx
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.pyramids import Pyramid
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
from backend.slides.patches.images import png
from backend.slides.reading.tiles import tile_box

Tile = tuple[str, Callable[[], bytes]]
"""An ETag, and the PNG if it is asked for."""
Masks = dict[tuple[int, int], str]


@dataclass(frozen=True)
class Seen:
    """What a model sees of a slide: `state` is another one when there is more of it."""

    pyramid: Pyramid
    state: str


@dataclass(frozen=True)
class Layer:
    """What the tiles of an overlay are made of. shrink: level-0 px an analysis px."""

    kind: Overlay
    width: int
    height: int
    shrink: float | None
    seen: Seen | None = None
    masks: Masks | None = None

    def tile(self, blobs: Blobs, level: int, place: tuple[int, int]) -> Tile:
        """Return a tile; `place` is its (column, row). Nothing known is transparent."""
        box = tile_box(self.width, self.height, level, *place)
        region = None if self.shrink is None else box.region.scaled(1 / self.shrink)
        if region and self.masks is not None:
            return people(blobs, self.masks, region, box.size)
        if region and self.seen is not None:
            return model(self.seen, self.kind, region, box.size)
        return "none", lambda: png(colours.transparent(box.size))


LAYERS = Remembered[Layer](
    *("slides", "analysis_grid", "annotations", "model_versions"),
    *("predictions", "prediction_shards"),
    # each may hold the names of some thousand masks
    most=32,
)


async def layer(
    database: Database,
    settings: Settings,
    slide_id: str,
    kind: Overlay,
    model_version_id: str | None,
    reading: str | None,
) -> Layer:
    """Return an overlay of a slide. reading: who names another one is given what there is now."""

    def read() -> Layer:
        with database.reading() as session:
            return read_layer(session, settings, slide_id, kind, model_version_id)

    return await LAYERS.get(database, (slide_id, kind, model_version_id, reading), read)


def read_layer(
    session: Session,
    settings: Settings,
    slide_id: str,
    kind: Overlay,
    model_version_id: str | None,
) -> Layer:
    slide, width, height = slides.visible(session, slide_id)
    analysis_mpp = installed_grid.recorded_mpp(session)
    if slide.mpp is None or analysis_mpp is None:
        return Layer(kind, width, height, None)
    shrink = scale(slide.mpp, analysis_mpp)
    if kind == Overlay.ANNOTATION:
        masks = newest_masks.by_place(session, slide.id)
        return Layer(kind, width, height, shrink, masks=masks)
    seen = seen_by_model(session, settings, slide, model_version_id)
    return Layer(kind, width, height, shrink, seen=seen)


def seen_by_model(
    session: Session, settings: Settings, slide: Slide, model_version_id: str | None
) -> Seen | None:
    """Return what a model version, or the shown one, sees: it counts the shards."""
    prediction = (
        predictions.of_version(session, slide.id, model_version_id)
        if model_version_id
        else predictions.shown(session, slide.id)
    )
    if prediction is None:
        return None
    shards = predictions.shard_count(session, prediction.id)
    try:
        pyramid = predictions.pyramid_of(slide, prediction, settings)
    except NoPrediction:
        return None
    return Seen(pyramid, f"{prediction.id}-{shards}-{pyramid.readable_levels}")


def model(seen: Seen, kind: Overlay, region: Region0, size: SizePx) -> Tile:
    etag = f"{seen.state}-{kind}"
    return etag, lambda: png(colours.model_tile(seen.pyramid, region, size, kind))


def people(blobs: Blobs, masks: Masks, region: Region0, size: SizePx) -> Tile:
    """Return people's newest masks; its ETag names every one of them."""
    rows, columns = colours.patches_under(region)
    if len(rows) * len(columns) < len(masks):
        places = [(row, column) for row in rows for column in columns]
        here = {place: masks[place] for place in places if place in masks}
    else:
        here = {
            place: sha256
            for place, sha256 in masks.items()
            if place[0] in rows and place[1] in columns
        }
    etag = hashlib.sha256(repr(here).encode()).hexdigest()[:32]
    return etag, lambda: png(colours.annotation_tile(blobs, here, region, size))
