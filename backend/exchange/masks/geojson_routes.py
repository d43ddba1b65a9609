"""A slide's annotations as QuPath's GeoJSON over HTTP, both ways."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from backend.exchange.masks import geojson, imports
from backend.exchange.masks.geojson import GeoJsonInvalid
from backend.exchange.masks.imports import Imported, Outcome, PatchOutcome
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings
from backend.kit.downloads import disposition, file_name
from backend.kit.errors import TooLarge
from backend.kit.security import check_text
from backend.learning.annotations import newest_masks
from backend.learning.annotations.schemas import Author
from backend.people.audit import service as audit
from backend.people.users.guards import Pathologist, Viewer
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides

router = APIRouter(prefix="/slides/{slide_id}/annotations.geojson", tags=["annotations"])
LARGEST = 32 << 20
"""Bytes of one import."""


class ImportTooLarge(TooLarge):
    code = "import_too_large"


class PatchImported(BaseModel):
    """What became of one patch; `code` and `detail` say why nothing was written.

    taken_from: who else had it in hand; they have been told.
    """

    patch_id: str
    row: int
    column: int
    outcome: Outcome
    revision: int
    code: str | None
    detail: str | None
    taken_from: Author | None

    @classmethod
    def of(cls, outcome: PatchOutcome) -> "PatchImported":
        problem = outcome.problem or {}
        return cls(
            patch_id=outcome.patch.id,
            row=outcome.patch.row,
            column=outcome.patch.column,
            outcome=outcome.outcome,
            revision=outcome.revision,
            code=problem.get("code"),
            detail=problem.get("detail"),
            taken_from=outcome.taken_from and Author.of(outcome.taken_from),
        )


class ImportOut(BaseModel):
    """Patch by patch what was written; features on no patch, and of other classes, were left."""

    items: list[PatchImported]
    written: int
    unchanged: int
    conflict: int
    refused: int
    features_on_no_patch: int
    features_of_other_classes: dict[str, int]

    @classmethod
    def of(cls, imported: Imported) -> "ImportOut":
        return cls(
            items=[PatchImported.of(each) for each in imported.patches],
            features_on_no_patch=imported.elsewhere,
            features_of_other_classes=dict(imported.others),
            **{str(outcome): number for outcome, number in imports.counted(imported.patches)},
        )


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


async def content_of(request: Request) -> Any:
    """Read a body of JSON, and no more of it than is taken."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise ImportTooLarge(f"An import may have {LARGEST} bytes: send it in parts.")
    await run_in_threadpool(check_text, body)
    try:
        return await run_in_threadpool(json.loads, body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise GeoJsonInvalid(f"The body is no JSON: {reason}.") from None


@router.post(
    "", openapi_extra={"requestBody": {"required": True, "content": {"application/geo+json": {}}}}
)
def import_annotations(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    content: Annotated[Any, Depends(content_of)],
    if_match: Annotated[str | None, Header()] = None,
) -> ImportOut:
    """Draw polygons classified Membrane (and Ignore*) onto the patches they touch.

    Each patch gets a new revision if it is still at the one its feature was exported from; a
    polygon that names none is for patches that nobody has annotated, or, with If-Match and the
    ETag of the slide's GeoJSON, for those too. What somebody annotated meanwhile is in conflict
    and stays.
    """
    return ImportOut.of(
        imports.take(database, blobs, settings, slide_id, content, if_match=if_match, by=user)
    )
