"""Overlays over HTTP: what models see of a slide and what people drew on it, as tiles."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.kit import conditional
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings
from backend.learning.overlays import service
from backend.learning.overlays.colours import Overlay
from backend.people.users.looking import Looking

router = APIRouter(tags=["predictions"])


@router.get(
    "/slides/{slide_id}/overlays/{kind}_files/{level}/{col}_{row}.png", response_class=Response
)
async def get_overlay_tile(
    request: Request,
    database: CurrentDatabase,
    settings: CurrentSettings,
    blobs: BlobStore,
    user: Looking,
    slide_id: str,
    kind: Overlay,
    level: int,
    col: int,
    row: int,
    model_version: Annotated[str | None, Query(description="Its id.")] = None,
    v: Annotated[
        str | None,
        Query(
            max_length=40,
            description="Any word: with one that was not used before a tile shows what there is "
            "now; with the same it may be as it was two seconds ago.",
        ),
    ] = None,
) -> Response:
    """Return an overlay tile, RGBA, on the grid of the slide's own Deep Zoom tiles."""
    layer = await service.layer(database, settings, slide_id, kind, model_version, v)
    etag, render = layer.tile(blobs, level, (col, row))
    return await conditional.picture_later(request, etag, render)
