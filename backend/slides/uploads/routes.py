"""Uploads over HTTP: tus 1.0.0, and a slide in one multipart request."""

from functools import partial
from typing import Any

from anyio import CancelScope
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from backend.kit.db.base import new_id
from backend.kit.db.session import Database
from backend.kit.dependencies import CurrentDatabase, CurrentSettings, ReadSession, WriteSession
from backend.kit.errors import Unprocessable
from backend.kit.plain_words import described
from backend.people.users.guards import Pathologist
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.description import describe
from backend.slides.catalogue.schemas import CaseId, PixelSize, SlideOut, Stain
from backend.slides.reading.formats import refuse_empty
from backend.slides.uploads import service, tus
from backend.slides.uploads.hashing import RunningHash, running
from backend.slides.uploads.multipart import receive_form
from backend.slides.uploads.receiving import (
    check_space,
    exclusive,
    held,
    keep_metadata,
    kept_metadata,
    receive,
    upload_path,
)
from backend.slides.uploads.schemas import UploadedSlide, UploadOut
from backend.slides.uploads.tables import Upload, UploadState

router = APIRouter(tags=["uploads"])
protocol = APIRouter(route_class=tus.TusRoute)
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "stain": {"type": "string", "maxLength": 64},
                        "case_id": {"type": "string", "maxLength": 100},
                        "mpp": {"type": "number", "description": "Micrometres per pixel."},
                    },
                }
            }
        },
    }
}
BYTES: dict[str, Any] = {
    "requestBody": {"content": {tus.BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


class Words(BaseModel):
    """What may be said of a file beside its bytes."""

    stain: Stain | None = None
    case_id: CaseId | None = None
    mpp: PixelSize | None = None


def words(fields: dict[str, str]) -> Words:
    try:
        return Words.model_validate({key: value for key, value in fields.items() if value})
    except ValidationError as error:
        errors = described(error.errors())
        raise Unprocessable(" ".join(each["message"] for each in errors), errors=errors) from None


@protocol.options("/uploads", status_code=204)
@protocol.options("/uploads/{upload_id}", status_code=204, include_in_schema=False)
def capabilities(settings: CurrentSettings) -> Response:
    """Say what of tus is spoken here."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        },
    )


@protocol.post("/uploads", status_code=201, response_class=Response, openapi_extra=BYTES)
async def create_upload(
    user: Pathologist, request: Request, database: CurrentDatabase, settings: CurrentSettings
) -> Response:
    """Announce a file; its first bytes may come with the request."""
    tus.check_extensions(request.headers)
    length = tus.whole_number(request.headers, "upload-length")
    pairs = tus.metadata(request.headers)
    about = words(pairs)
    begins = "content-type" in request.headers and request.headers.get("content-length") != "0"
    if begins:
        tus.check_body_type(request.headers)

    def create() -> Upload:
        with database.writing() as session:
            return service.create(
                session,
                settings,
                length=length,
                filename=tus.plain_name(pairs.get("filename", "")),
                by=user,
                **about.model_dump(),
            )

    upload = await run_in_threadpool(create)
    if header := request.headers.get("upload-metadata"):
        await run_in_threadpool(keep_metadata, settings, upload.id, header)
    headers = {
        "Location": f"{request.url.path.rstrip('/')}/{upload.id}",
        "Upload-Expires": tus.expires(upload.expires_at),
    }
    if begins:
        headers |= await take_bytes(request, database, settings, upload, user)
    return Response(status_code=201, headers=headers)


@protocol.patch("/uploads/{upload_id}", status_code=204, openapi_extra=BYTES)
async def append(
    user: Pathologist,
    request: Request,
    database: CurrentDatabase,
    settings: CurrentSettings,
    upload_id: str,
) -> Response:
    """Append bytes at the offset; the last ones make the slide (`Slide-Id`)."""
    tus.check_body_type(request.headers)
    offset = tus.whole_number(request.headers, "upload-offset")
    upload = await run_in_threadpool(find, database, upload_id, user)
    if offset != upload.received:
        raise tus.OffsetConflict(f"The upload stands at byte {upload.received}.")
    return Response(
        status_code=204, headers=await take_bytes(request, database, settings, upload, user)
    )


def find(database: Database, upload_id: str, user: User) -> Upload:
    with database.reading() as session:
        return service.open_upload(session, upload_id, by=user)


async def take_bytes(
    request: Request, database: Database, settings: Settings, upload: Upload, user: User
) -> dict[str, str]:
    """Write a request's body to an upload and, if it was the last, make the slide."""
    checksum = tus.checksum(request.headers)

    def advance(before: int, after: int, state: RunningHash) -> None:
        with database.writing() as session:
            service.advance(session, settings, upload.id, before, after)
        running.keep(upload.id, after, state)

    async with held(upload_path(settings, upload.id)) as file:
        # only who holds the file knows where the upload stands
        now = await run_in_threadpool(find, database, upload.id, user)
        if now.received != upload.received:
            raise tus.OffsetConflict(f"The upload stands at byte {now.received}.")
        if now.state == UploadState.RECEIVING:
            await run_in_threadpool(check_space, settings, now.length - now.received)
            await receive(
                request,
                file,
                offset=now.received,
                length=now.length,
                checksum=checksum,
                state=running.at(upload.id, now.received),
                advance=advance,
            )
        return await run_in_threadpool(stand, database, settings, upload.id, user)


def stand(database: Database, settings: Settings, upload_id: str, user: User) -> dict[str, str]:
    """Return the headers that say how far an upload is; finish one that has all its bytes.

    The caller holds the upload's file.
    """
    upload = find(database, upload_id, user)
    headers = {
        "Upload-Offset": str(upload.received),
        "Upload-Expires": tus.expires(upload.expires_at),
    }
    if upload.state == UploadState.COMPLETE:
        slide_id, duplicate = service.finish(database, settings, upload)
        headers["Slide-Id"] = slide_id
        if duplicate:
            headers["Slide-Duplicate"] = "true"
    elif upload.slide_id:
        headers |= slide_headers(upload)
    return headers


def slide_headers(upload: Upload) -> dict[str, str]:
    """Name the slide of an upload that is over; GET says what a duplicate's words came to."""
    known = {"Slide-Duplicate": "true"} if upload.duplicate else {}
    return {"Slide-Id": upload.slide_id or "", **known}


@protocol.head("/uploads/{upload_id}", response_class=Response)
def offset(
    user: Pathologist, database: CurrentDatabase, settings: CurrentSettings, upload_id: str
) -> Response:
    """Say where the upload stands; one whose end was cut off by a crash is ended now."""
    upload = find(database, upload_id, user)
    headers = {
        "Upload-Length": str(upload.length),
        "Upload-Offset": str(upload.received),
        "Cache-Control": "no-store",
    }
    if header := kept_metadata(settings, upload_id):
        headers["Upload-Metadata"] = header
    if upload.state == UploadState.COMPLETE:
        with exclusive(upload_path(settings, upload_id)):
            headers |= stand(database, settings, upload_id, user)
    elif upload.slide_id:
        headers |= slide_headers(upload)
    return Response(status_code=200, headers=headers)


@protocol.delete("/uploads/{upload_id}", status_code=204, response_class=Response)
def terminate(
    user: Pathologist, session: WriteSession, settings: CurrentSettings, upload_id: str
) -> Response:
    """End an upload and forget its bytes."""
    service.terminate(session, settings, upload_id, by=user)
    return Response(status_code=204)


@router.get("/uploads/{upload_id}")
def read_upload(user: Pathologist, session: ReadSession, upload_id: str) -> UploadOut:
    """Return an upload and, once it is one, its slide's id."""
    return UploadOut.model_validate(service.get(session, upload_id, by=user))


@router.post(
    "/slides",
    status_code=201,
    responses={
        200: {
            "model": UploadedSlide,
            "description": "The file is known already; `duplicate` says what came of its words.",
        }
    },
    tags=["slides"],
    openapi_extra=FORM,
)
async def upload_slide(
    user: Pathologist,
    request: Request,
    response: Response,
    database: CurrentDatabase,
    settings: CurrentSettings,
) -> UploadedSlide:
    """Take a slide in one request: 201, or 200 with the slide that has the same bytes."""
    if "content-length" in request.headers:
        announced = tus.whole_number(request.headers, "content-length")
        if announced > settings.max_upload_bytes + (1 << 16):
            raise tus.UploadTooLarge(
                f"This installation takes files up to {settings.max_upload_bytes} bytes."
            )
        await run_in_threadpool(check_space, settings, announced)
    path = upload_path(settings, new_id())
    try:
        async with held(path) as file:
            form = await receive_form(
                request, file, settings.max_upload_bytes, partial(check_space, settings)
            )
        about = words(form.fields)
        if form.size == 0:
            refuse_empty(form.filename or "")
        facts = service.Received(
            filename=form.filename or "", created_by=user.id, **about.model_dump()
        )
        slide_id, duplicate = await run_in_threadpool(
            service.make_slide, database, settings, path, facts, sha256=form.sha256.hexdigest()
        )
    finally:
        with CancelScope(shield=True):
            await run_in_threadpool(service.forget, path)
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{slide_id}"
    if duplicate:
        response.status_code = 200
        response.headers["Slide-Duplicate"] = "true"
    slide = await run_in_threadpool(show, database, slide_id)
    return UploadedSlide(**dict(slide), duplicate=duplicate)


def show(database: Database, slide_id: str) -> SlideOut:
    with database.reading() as session:
        return describe(session, [slides.get(session, slide_id)])[0]


router.include_router(protocol)
