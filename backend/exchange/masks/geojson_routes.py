"""A slide's annotations as QuPath's GeoJSON over HTTP, both ways."""

import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, status
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from backend.exchange.masks import geojson, import_jobs, imports
from backend.exchange.masks.import_jobs import content_in
from backend.exchange.masks.placing import TooManyPatches
from backend.exchange.masks.schemas import ImportOut
from backend.exchange.masks.work import OF_REQUEST, TooMuchWork, Work
from backend.jobs.schemas import JobOut
from backend.kit.conditional import IfMatch
from backend.kit.db.base import new_id
from backend.kit.db.session import Database
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings
from backend.kit.downloads import disposition, file_name
from backend.kit.errors import TooLarge
from backend.kit.storage.blobs import Blobs
from backend.kit.turns import InTurn
from backend.learning.annotations import newest_masks
from backend.people.audit import service as audit
from backend.people.users.guards import Pathologist, Viewer
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides
from backend.slides.uploads.receiving import check_space, held

router = APIRouter(prefix="/slides/{slide_id}/annotations.geojson", tags=["annotations"])
LARGEST = 32 << 20
"""Bytes of one import."""
SMALL = 1 << 18
"""Bytes of an import that is perhaps drawn while its sender waits."""
FEW_POINTS = 12_000
"""Of its points: whether an outline crosses itself may take their square."""
FEW_PATCHES = 64


class ImportTooLarge(TooLarge):
    code = "import_too_large"


@router.get("", response_class=StreamingResponse)
def export_annotations(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Viewer,
    slide_id: str,
) -> StreamingResponse:
    """Return people's masks as GeoJSON that QuPath opens: a Feature an annotated patch.

    Streamed: however large a slide is, one mask is in memory. The ETag is for an import of what
    was drawn on patches that the file does not name.
    """
    with database.reading() as session:
        slide, _width, _height = slides.visible(session, slide_id)
        etag = newest_masks.state_of(session, slide_id)
        called = {"name": slide.name, "case_id": slide.case_id, "block": slide.block}
        name = file_name(called, "masks", "geojson")
    audit.record_download(database, user, "masks.exported", "slide", slide_id, format="geojson")
    return StreamingResponse(
        geojson.pieces(
            slide, newest_masks.of_slide(database, slide_id), blobs, frame.corner(slide, settings)
        ),
        media_type="application/geo+json",
        headers={
            "ETag": f'"{etag}"',
            "Cache-Control": "private, no-cache",
            "Content-Disposition": disposition(name),
        },
    )


async def body_of(
    request: Request, _: Pathologist, blobs: BlobStore, settings: CurrentSettings
) -> bytes | str:
    """Read a body: the bytes of a small one, or the sha256 of the blob that a larger one became.

    What is large goes to disk as it comes: many at once must not fill the memory.
    """
    body = bytearray()
    chunks = aiter(request.stream())
    async for chunk in chunks:
        body += chunk
        if len(body) > SMALL:
            return await on_disk(body, chunks, blobs, settings)
    return bytes(body)


async def on_disk(
    body: bytearray, chunks: AsyncIterator[bytes], blobs: Blobs, settings: Settings
) -> str:
    """Write a body's beginning, and what is still to come of it, as a blob."""
    await run_in_threadpool(check_space, settings, LARGEST)
    # hidden: of a killed process it is swept
    path = blobs.folder / f".import-{new_id()}"
    digest = hashlib.sha256()
    size = 0
    try:
        async with held(path) as file:
            while body:
                size += len(body)
                if size > LARGEST:
                    raise ImportTooLarge(f"An import may have {LARGEST} bytes: send it in parts.")
                digest.update(body)
                await run_in_threadpool(file.write, bytes(body))
                body = bytearray(await anext(chunks, b""))
        await run_in_threadpool(blobs.adopt, path, digest.hexdigest())
    finally:
        await run_in_threadpool(partial(path.unlink, missing_ok=True))
    return digest.hexdigest()


@router.post(
    "",
    responses={
        200: {"model": ImportOut},
        202: {
            "model": JobOut,
            "description": "It is large: it is being drawn. `GET /jobs/{id}` has the outcome in "
            "`result` when the job is done.",
        },
    },
    openapi_extra={"requestBody": {"required": True, "content": {"application/geo+json": {}}}},
)
def import_annotations(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    body: Annotated[bytes | str, Depends(body_of)],
    _: InTurn,
    if_match: IfMatch = None,
) -> Response:
    """Draw polygons classified Membrane (and Ignore*) onto the patches they touch.

    Each patch gets a new revision if it is still at the one its feature was exported from; a
    polygon that names none is for patches that nobody has annotated, or, with If-Match and the
    ETag of the slide's GeoJSON, for those too. What somebody annotated meanwhile is in conflict
    and stays.

    Few outlines on few patches are drawn at once (200); more are a job (202).
    """
    with database.reading() as session:
        seen = imports.state_seen(session, slide_id, if_match)
    if isinstance(body, bytes):
        imported = at_once(database, blobs, settings, slide_id, body, seen, user)
        if imported is not None:
            return JSONResponse(ImportOut.of(imported).model_dump(mode="json"))
        body = blobs.put(body)
    seen_sha256 = import_jobs.store_seen(blobs, seen)
    with database.writing() as session:
        job = import_jobs.request(
            session, settings, slide_id, content_sha256=body, seen_sha256=seen_sha256, by=user
        )
        answer = JobOut.model_validate(job).model_dump(mode="json")
    return JSONResponse(
        answer,
        status.HTTP_202_ACCEPTED,
        headers={"Location": f"/api/v1/jobs/{job.id}", "Retry-After": "1"},
    )


def at_once(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    body: bytes,
    seen: dict[str, int],
    user: User,
) -> imports.Imported | None:
    """Draw an import now, or return None: it is more than somebody should wait for."""
    content: Any = content_in(body)
    if body.count(b"[") > FEW_POINTS:
        return None
    try:
        return imports.take(
            database,
            blobs,
            settings,
            slide_id,
            content,
            seen=seen,
            work=Work(OF_REQUEST),
            by=user,
            most_patches=FEW_PATCHES,
        )
    except (TooMuchWork, TooManyPatches):
        return None
