"""Slides over HTTP: rows, thumbnails and Deep Zoom tiles."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from backend.kit import conditional
from backend.kit.dependencies import CurrentDatabase, CurrentSettings, ReadSession, WriteSession
from backend.kit.paging import Page, Paged
from backend.people.audit import service as audit
from backend.people.users.guards import Admin, Pathologist, Viewer
from backend.people.users.looking import Looking
from backend.slides.catalogue import concurrency, rendering, service, shown
from backend.slides.catalogue.description import describe
from backend.slides.catalogue.schemas import SlideChange, SlideOut
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.reading.reader import open_slides
from backend.slides.reading.tiles import dzi, tile_box

router = APIRouter(tags=["slides"])


@router.get("/slides")
def list_slides(
    user: Viewer,
    session: ReadSession,
    state: SlideState | None = None,
    case_id: Annotated[str | None, Query(max_length=100)] = None,
    *,
    page: Paged,
) -> Page[SlideOut]:
    """List slides, newest first."""
    rows, next_cursor = page.newest_rows(session, service.listing(state, case_id), Slide.id)
    return Page(items=describe(session, rows), next_cursor=next_cursor)


@router.get("/slides/{slide_id}.dzi", response_class=Response)
def describe_pyramid(
    user: Viewer, session: ReadSession, database: CurrentDatabase, slide_id: str
) -> Response:
    """Return the Deep Zoom descriptor: who opens a slide stands in the audit trail."""
    _, width, height = service.visible(session, slide_id)
    audit.record_view(database, user, "slide.viewed", "slide", slide_id)
    return Response(
        dzi(width, height),
        media_type="application/xml",
        headers={"Cache-Control": "private, no-cache"},
    )


@router.get("/slides/{slide_id}_files/{level}/{col}_{row}.{tile_format}", response_class=Response)
async def tile(
    user: Looking,
    request: Request,
    database: CurrentDatabase,
    settings: CurrentSettings,
    slide_id: str,
    level: int,
    col: int,
    row: int,
    tile_format: Literal["jpeg", "jpg", "png"],
) -> Response:
    """Return a Deep Zoom tile; browsers keep it, and ask whether it is still the one."""
    slide, width, height = await shown.visible(database, slide_id)
    box = tile_box(width, height, level, col, row)
    kind = rendering.PNG if tile_format == "png" else rendering.JPEG
    etag = rendering.etag_of(slide, level, col, row, kind, rendering.MANNER)
    return await conditional.picture_later(
        request,
        etag,
        lambda: rendering.picture(open_slides.of(slide, settings), box, kind),
        media_type=kind,
    )


@router.get("/slides/{slide_id}/thumbnail.jpeg", response_class=Response)
def thumbnail(
    user: Viewer, request: Request, session: ReadSession, settings: CurrentSettings, slide_id: str
) -> Response:
    """Return the tissue, small; never the label or macro image."""
    slide, _, _ = service.visible(session, slide_id)

    def render() -> bytes:
        pixels = rendering.thumbnail(open_slides.of(slide, settings))
        return rendering.encoded(pixels, rendering.JPEG)

    etag = rendering.etag_of(slide, "thumbnail")
    return conditional.picture(request, etag, render, media_type=rendering.JPEG)


@router.get("/slides/{slide_id}")
def read_slide(user: Viewer, session: ReadSession, slide_id: str, response: Response) -> SlideOut:
    """Show a slide; its ETag names what people may change, for If-Match."""
    slide = service.get(session, slide_id)
    response.headers["ETag"] = concurrency.etag(slide)
    return describe(session, [slide])[0]


@router.patch("/slides/{slide_id}")
def change_slide(
    user: Pathologist,
    session: WriteSession,
    settings: CurrentSettings,
    slide_id: str,
    changes: SlideChange,
    response: Response,
    if_match: conditional.IfMatch = None,
) -> SlideOut:
    """Set the pixel size, case, block, stain or archive flag; a pixel size makes ingest go on.

    With If-Match: only if nobody changed the slide meanwhile.
    """
    concurrency.require_seen(session, slide_id, if_match)
    changed = service.change(session, settings, slide_id, changes.named(), by=user)
    response.headers["ETag"] = concurrency.etag(changed)
    return describe(session, [changed])[0]


@router.delete("/slides/{slide_id}", status_code=204)
def delete_slide(
    user: Admin, session: WriteSession, settings: CurrentSettings, slide_id: str
) -> None:
    """Delete a slide, its annotations, predictions and files."""
    service.remove(session, slide_id, settings, by=user)
