"""Reports over HTTP: asked for, read in every format, corrected, signed, amended, checked."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import FileResponse, StreamingResponse

from backend.exchange.reports.html import html
from backend.her2.reports import (
    dicom_exports,
    exports,
    requests,
    service,
    signing,
)
from backend.her2.reports.schemas import (
    AmendmentIn,
    DecisionsIn,
    EditOut,
    ReportIn,
    ReportJob,
    ReportOut,
    ReportSummary,
    SignIn,
)
from backend.her2.reports.tables import Report
from backend.jobs.idempotency import KeyOfRequest
from backend.jobs.schemas import JobOut
from backend.kit.dependencies import (
    BlobStore,
    CurrentDatabase,
    CurrentSettings,
    ReadSession,
    WriteSession,
)
from backend.kit.downloads import disposition, file_name
from backend.kit.errors import Forbidden, Unauthenticated
from backend.kit.paging import (
    Cursor,
    Limit,
    Page,
    paginate,
)
from backend.people.users import service as auth
from backend.people.users.guards import Pathologist, Viewer
from backend.people.users.throttle import TRIES_OF_NAME, Throttle
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides

router = APIRouter(tags=["her2"])
throttle = Throttle()
PIECE = 1 << 20
DICOM_TYPE = "application/dicom"


class PasswordWrong(Forbidden):
    code, title = "wrong_password", "The signature needs your password"


@router.post("/slides/{slide_id}/reports", status_code=status.HTTP_202_ACCEPTED)
def request_report(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    wanted: ReportIn,
    idempotency_key: KeyOfRequest = None,
) -> ReportJob:
    """Score a slide in its tumour regions; the answer is the job, `report_id` names the report."""
    with database.reading() as session:
        if known := service.asked_before(session, idempotency_key):
            return ReportJob.of(known[1], known[0].id)
        frozen = service.freeze(session, blobs, settings, slide_id, wanted.wanted())
    with database.writing() as session:
        report, job = service.request(
            session, settings, frozen, by=user, idempotency_key=idempotency_key
        )
        return ReportJob.of(job, report.id)


@router.get("/slides/{slide_id}/reports")
def list_reports(
    session: ReadSession, _: Viewer, slide_id: str, limit: Limit = 100, cursor: Cursor = None
) -> Page[ReportSummary]:
    """List the reports of a slide, newest first."""
    rows, more = paginate(
        session,
        service.of_slide(session, slide_id),
        Report.id,
        limit=limit,
        cursor=cursor,
        newest_first=True,
    )
    return Page(items=[ReportSummary.of(row) for row in rows], next_cursor=more)


def name_of(session: ReadSession, report: Report, ending: str) -> str:
    """Return what a report's file is called: after its slide, and which version it is."""
    draft = "" if report.signed_at else "-draft"
    what = f"HER2-v{report.version}{draft}"
    return file_name(requests.labels_of(session, report), what, ending)


def download(
    session: ReadSession, content: bytes, media_type: str, report_id: str, ending: str
) -> Response:
    name = name_of(session, service.get(session, report_id), ending)
    headers = {
        "Content-Disposition": disposition(name, inline=True),
        "Cache-Control": "private, no-cache",
    }
    return Response(content, media_type=media_type, headers=headers)


@router.get("/reports/{report_id}.pdf", response_class=Response)
def get_pdf(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> Response:
    """Return the PDF; of a signed report the very bytes that were signed."""
    report = service.computed(session, report_id)
    content = exports.content_of(session, blobs, report)
    return download(
        session, exports.pdf_of(blobs, report, content), "application/pdf", report_id, "pdf"
    )


@router.get("/reports/{report_id}.html", response_class=Response)
def get_html(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> Response:
    report = service.computed(session, report_id)
    page = html(exports.content_of(session, blobs, report))
    return download(session, page, "text/html; charset=utf-8", report_id, "html")


@router.get("/reports/{report_id}.fhir.json", response_class=Response)
def get_fhir(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> Response:
    """Return a FHIR R4B Bundle: DiagnosticReport, Observations, Device, Provenance."""
    report = service.computed(session, report_id)
    bundle = exports.fhir_of(blobs, report, exports.content_of(session, blobs, report))
    return download(session, bundle, "application/fhir+json", report_id, "fhir.json")


@router.get("/reports/{report_id}.seg.dcm", response_class=Response)
def get_dicom_seg(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> Response:
    """Return the membrane mask of the scored area as DICOM Segmentation; of DICOM slides only."""
    content = dicom_exports.stored(session, blobs, report_id, "seg")
    return download(session, content, DICOM_TYPE, report_id, "seg.dcm")


@router.get("/reports/{report_id}.ann.dcm", response_class=Response)
def get_dicom_ann(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> Response:
    """Return the cells as DICOM Microscopy Bulk Simple Annotations; of DICOM slides only."""
    content = dicom_exports.stored(session, blobs, report_id, "ann")
    return download(session, content, DICOM_TYPE, report_id, "ann.dcm")


@router.get("/reports/{report_id}.sr.dcm", response_class=Response)
def get_dicom_sr(
    session: ReadSession,
    blobs: BlobStore,
    settings: CurrentSettings,
    _: Viewer,
    report_id: str,
) -> Response:
    """Return the score as DICOM Structured Report (TID 1500); of DICOM slides only."""
    content = dicom_exports.structured_report(session, blobs, settings, report_id)
    return download(session, content, DICOM_TYPE, report_id, "sr.dcm")


@router.get("/reports/{report_id}.json", response_class=Response)
def get_json(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> Response:
    """Return the whole report as JSON, the source of all other formats."""
    report = service.computed(session, report_id)
    content = exports.content_of(session, blobs, report)
    whole = exports.json_of(session, blobs, report, content)
    return download(session, whole, "application/json", report_id, "json")


@router.get("/reports/{report_id}.tiles.csv", response_class=Response)
def get_tiles_csv(
    request: Request, session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str
) -> Response:
    """Return the counts of each tile as CSV: what the intervals are drawn from."""
    report = service.computed(session, report_id)
    path = blobs.path(exports.tiles_of(report))
    return packed(request, path, "text/csv", name_of(session, report, "tiles.csv"))


@router.get("/reports/{report_id}.csv", response_class=Response)
def get_csv(
    request: Request, session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str
) -> Response:
    """Return the cells as CSV, a row each."""
    report = service.computed(session, report_id)
    path = blobs.path(report.files["csv"])
    return packed(request, path, "text/csv", name_of(session, report, "cells.csv"))


@router.get("/reports/{report_id}.geojson", response_class=Response)
def get_geojson(
    request: Request,
    session: ReadSession,
    blobs: BlobStore,
    settings: CurrentSettings,
    _: Viewer,
    report_id: str,
    *,
    gzipped: Annotated[bool, Query(alias="gzip", description="As a .gz file.")] = False,
) -> Response:
    """Return regions and cells as GeoJSON that QuPath opens."""
    report = service.computed(session, report_id)
    path, name = blobs.path(report.files["geojson"]), name_of(session, report, "geojson")
    x, y = frame.corner(slides.get(session, report.slide_id), settings)
    if x or y:
        whole = frame.moved(json.loads(gzip.decompress(path.read_bytes())), x, y)
        content = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        kind = "application/gzip" if gzipped else "application/geo+json"
        headers = {"Content-Disposition": disposition(f"{name}.gz" if gzipped else name)}
        return Response(gzip.compress(content) if gzipped else content, 200, headers, kind)
    if gzipped:
        headers = {"Content-Disposition": disposition(f"{name}.gz")}
        return FileResponse(path, media_type="application/gzip", headers=headers)
    return packed(request, path, "application/geo+json", name)


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


@router.get("/reports/{report_id}")
def get_report(session: ReadSession, blobs: BlobStore, _: Viewer, report_id: str) -> ReportOut:
    """Return a report: category, percentages, intervals, flags, evidence, provenance, signature."""
    return shown(session, blobs, service.get(session, report_id))


def shown(session: ReadSession, blobs: BlobStore, report: Report) -> ReportOut:
    document = exports.document_of(blobs, report) if report.document_sha256 else None
    summary = ReportSummary.of(report)
    return ReportOut(
        **summary.model_dump(),
        amended_by=exports.successor_of(session, report),
        slide=requests.labels_of(session, report),
        seen=signing.seen_of(report),
        inputs=report.inputs,
        assay=report.assay,
        ish=report.ish,
        document=document,
    )


@router.post("/reports/{report_id}/cells", status_code=status.HTTP_202_ACCEPTED)
def decide_cells(
    database: CurrentDatabase,
    settings: CurrentSettings,
    blobs: BlobStore,
    user: Pathologist,
    report_id: str,
    wanted: DecisionsIn,
) -> ReportJob:
    """Leave cells of a draft out, change their class, or take that back; it is scored again."""
    with database.reading() as session:
        measured = service.measured_in(session, blobs, report_id)
    with database.writing() as session:
        report, job = service.decide(
            session,
            settings,
            report_id,
            wanted.decisions(),
            measured,
            reason=wanted.reason,
            by=user,
        )
        return ReportJob.of(job, report.id)


@router.get("/reports/{report_id}/cells")
def list_decisions(session: ReadSession, _: Viewer, report_id: str) -> Page[EditOut]:
    """List every decision on cells, in their order; nothing is ever taken out of it."""
    service.get(session, report_id)
    return Page(items=[EditOut.of(each) for each in service.edits_of(session, report_id)])


@router.post("/reports/{report_id}/sign")
def sign_report(
    database: CurrentDatabase, blobs: BlobStore, user: Pathologist, report_id: str, wanted: SignIn
) -> ReportOut:
    """Sign a draft with one's own category and password; afterwards it never changes."""
    with throttle.attempt({f"name {user.name}": TRIES_OF_NAME}), database.reading() as session:
        try:
            auth.check_password(session, user.name, wanted.password)
        except Unauthenticated as wrong:
            raise PasswordWrong(
                "The password is wrong, or you have none: only a person with a password signs."
            ) from wrong
    with database.reading() as session:
        prepared = signing.prepare(session, blobs, report_id, wanted.verdict(), by=user)
    with database.writing() as session:
        signing.sign(session, prepared, by=user)
    with database.reading() as session:
        return shown(session, blobs, service.get(session, report_id))


@router.post("/reports/{report_id}/amend", status_code=status.HTTP_202_ACCEPTED)
def amend_report(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    report_id: str,
    wanted: AmendmentIn,
    idempotency_key: KeyOfRequest = None,
) -> ReportJob:
    """Begin a new version of a signed report; signing it supersedes the old one."""
    with database.reading() as session:
        if known := service.asked_before(session, idempotency_key):
            return ReportJob.of(known[1], known[0].id)
        old = service.amendable(session, report_id)
        frozen = service.freeze(session, blobs, settings, old.slide_id, wanted.wanted())
    with database.writing() as session:
        report, job = service.amend(
            session,
            settings,
            report_id,
            frozen,
            reason=wanted.reason,
            by=user,
            idempotency_key=idempotency_key,
        )
        return ReportJob.of(job, report.id)


@router.post("/reports/{report_id}/verify", status_code=status.HTTP_202_ACCEPTED)
def verify_report(
    session: WriteSession, settings: CurrentSettings, user: Viewer, report_id: str
) -> JobOut:
    """Compute a report again from its inputs; the job fails with what differs, if anything does."""
    return JobOut.model_validate(service.verify(session, settings, report_id, by=user))
