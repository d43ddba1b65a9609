"""A report's files over HTTP: one address, whose ending names the format."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse
from starlette.convertors import StringConvertor, register_url_convertor

from backend.exchange.reports.format import Gzipped, Source
from backend.exchange.reports.formats import LISTED
from backend.her2.reports import requests, service, signing
from backend.her2.reports.content import Content
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.downloads import disposition, file_name
from backend.kit.errors import NotFound
from backend.people.audit import service as audit
from backend.people.users.guards import Viewer

router = APIRouter(tags=["her2"])
PIECE = 1 << 20
BY_ENDING = {each.ending: each for each in LISTED}


class FormatUnknown(NotFound):
    code, title = "report_format_unknown", "Reports have no such format"


class Undotted(StringConvertor):
    """An id in an address up to its first dot: endings have dots of their own (fhir.json)."""

    regex = "[^/.]+"


register_url_convertor("undotted", Undotted())


@signing.typesets
def signed_pdf(content: Content) -> bytes:
    # loaded with the first signature, as every format with its first use
    from backend.exchange.reports.formats import pdf

    return pdf.pdf(content)


@router.get(
    "/reports/{report_id:undotted}.{ending}",
    response_class=Response,
    responses={200: {"content": {each.media_type.partition(";")[0]: {} for each in LISTED}}},
)
def get_report_file(
    request: Request,
    session: ReadSession,
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Viewer,
    report_id: str,
    ending: Annotated[str, InPath(json_schema_extra={"enum": list(BY_ENDING)})],
    *,
    gzipped: Annotated[
        bool, Query(alias="gzip", description="As a .gz file: of `geojson`.")
    ] = False,
) -> Response:
    """Return a report in a format: PDF (of a signed report the very bytes that were signed), HTML
    without scripts, JSON (the source of all others), CSV (cells, a row each) and tiles.csv (counts
    by tile), a FHIR R4B Bundle, GeoJSON that QuPath opens, and, of DICOM slides, a Segmentation of
    the scored membranes, the cells as Bulk Simple Annotations, a Structured Report (TID 1500).
    """
    wanted = BY_ENDING.get(ending)
    if wanted is None:
        raise FormatUnknown(f"A report's address ends in one of: {', '.join(BY_ENDING)}.")
    report = service.computed(session, report_id)
    content = wanted.load().write(Source(session, blobs, settings, report))
    audit.record_download(
        database, user, "report.downloaded", report.TOPIC, report.id, format=wanted.ending
    )
    draft = "" if report.signed_at else "-draft"
    what = f"HER2-v{report.version}{draft}"
    labels = requests.labels_of(session, report)
    name = file_name(labels, what, wanted.file_ending or wanted.ending)
    if gzipped and wanted.may_be_gzipped:
        return as_archive(content, f"{name}.gz")
    if isinstance(content, Gzipped):
        return packed(request, content.path, wanted.media_type, name)
    headers = {
        "Content-Disposition": disposition(name, inline=not wanted.may_be_gzipped),
        "Cache-Control": "private, no-cache",
    }
    return Response(content, media_type=wanted.media_type, headers=headers)


def as_archive(content: bytes | Gzipped, name: str) -> Response:
    """Answer with a .gz file."""
    headers, kind = {"Content-Disposition": disposition(name)}, "application/gzip"
    if isinstance(content, Gzipped):
        return FileResponse(content.path, media_type=kind, headers=headers)
    return Response(gzip.compress(content), media_type=kind, headers=headers)


def packed(request: Request, path: Path, media_type: str, name: str) -> Response:
    """Answer with a file that is kept gzipped: as it is if the client takes it so."""
    headers = {
        "Content-Disposition": disposition(name),
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return FileResponse(path, media_type=media_type, headers=headers)
    return StreamingResponse(unpacked(path), media_type=media_type, headers=headers)


def unpacked(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        while piece := file.read(PIECE):
            yield piece
