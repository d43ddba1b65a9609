"""Exports of a slide's masks over HTTP."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse

from backend.exchange.masks import contents, service
from backend.exchange.masks.format import Archive
from backend.exchange.masks.formats import MEDIA_TYPES, NAMES, load
from backend.her2.reports.requests import labelled
from backend.jobs.schemas import JobOut
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings
from backend.kit.downloads import disposition, file_name
from backend.people.audit import service as audit
from backend.people.users.guards import Viewer
from backend.slides.catalogue.tables import Slide

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = StrEnum("Format", {name: name for name in NAMES})
    """The word of the contract's, of the formats that there are."""

router = APIRouter(prefix="/slides/{slide_id}/export", tags=["exports"])
Proposals = Annotated[
    bool, Query(description="Where nobody has drawn, what people see proposed there.")
]


@router.get(
    "",
    response_class=Response,
    responses={
        200: {"content": {each: {} for each in MEDIA_TYPES.values()}},
        202: {"model": JobOut, "description": "It is being made: ask again when the job is done."},
    },
)
def export_masks(
    request: Request,
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Viewer,
    slide_id: str,
    format: Annotated[FormatName, Query()],  # noqa: A002 - the contract's word
    *,
    proposals: Proposals = False,
) -> Response:
    """Return people's newest masks of a slide, each traceable by the manifest.

    png, coco, ome-zarr: a zip, streamed. dicom-seg: 202 with a job, then the file at this address.
    """
    with database.reading() as session:
        masks = contents.of_slide(session, slide_id, with_proposals=proposals)
    form = load(format)

    def exported() -> None:
        audit.record_download(database, user, "masks.exported", "slide", slide_id, format=form.name)

    if isinstance(form, Archive):
        exported()
        return StreamingResponse(
            service.archive(masks, form, database, blobs, settings),
            media_type=MEDIA_TYPES[format],
            headers=as_file(masks.slide, f"masks-{form.name}", "zip"),
        )
    form.require(masks.slide)
    built = service.built_file(masks, form, settings)
    if built.is_file():
        exported()
        headers = as_file(masks.slide, "masks", form.ending)
        return FileResponse(built, media_type=MEDIA_TYPES[format], headers=headers)
    with database.writing() as session:
        job = service.request(session, settings, masks, form, requested_by=user.id)
        answer = JobOut.model_validate(job).model_dump(mode="json")
    here = f"{request.url.path}?{request.url.query}"
    return JSONResponse(
        answer, status.HTTP_202_ACCEPTED, headers={"Location": here, "Retry-After": "1"}
    )


@router.get("/manifest.json", response_class=StreamingResponse)
def export_manifest(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Viewer,
    slide_id: str,
    *,
    proposals: Proposals = False,
) -> StreamingResponse:
    """Return what an export is made of: each mask's patch, author, revision and hash."""
    with database.reading() as session:
        masks = contents.of_slide(session, slide_id, with_proposals=proposals)
    audit.record_download(database, user, "masks.exported", "slide", slide_id, format="manifest")
    return StreamingResponse(
        service.listing(masks, database, blobs, settings),
        media_type="application/json",
        headers=as_file(masks.slide, "masks-manifest", "json"),
    )


def as_file(slide: Slide, what: str, ending: str) -> dict[str, str]:
    return {
        "Content-Disposition": disposition(file_name(labelled(slide), what, ending)),
        "Cache-Control": "private, no-cache",
    }
