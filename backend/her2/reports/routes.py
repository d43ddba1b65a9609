"""Reports over HTTP: asked for, read, corrected, signed, amended, checked."""

from fastapi import APIRouter, status

from backend.her2.reports import edits, integrity, loading, requests, service, signing
from backend.her2.reports.schemas import (
    AmendmentIn,
    DecisionsIn,
    EditOut,
    ReportIn,
    ReportJob,
    ReportOut,
    ReportSummary,
    SignatureCheck,
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
from backend.kit.errors import Forbidden, Unauthenticated
from backend.kit.paging import Page, Paged
from backend.kit.signing_key import trusted
from backend.people.audit import service as audit
from backend.people.users import service as auth
from backend.people.users.guards import Pathologist, Viewer
from backend.people.users.throttle import TRIES_OF_NAME, Throttle

router = APIRouter(tags=["her2"])
throttle = Throttle()


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
        snapshot = service.freeze(session, blobs, settings, slide_id, wanted.wanted())
    with database.writing() as session:
        report, job = service.request(
            session, settings, snapshot, by=user, idempotency_key=idempotency_key
        )
        return ReportJob.of(job, report.id)


@router.get("/slides/{slide_id}/reports")
def list_reports(
    session: ReadSession, _: Viewer, slide_id: str, page: Paged
) -> Page[ReportSummary]:
    """List the reports of a slide, newest first."""
    reports = service.of_slide(session, slide_id)
    return page.newest(session, reports, Report.id, ReportSummary.of)


@router.get("/reports/{report_id}")
def get_report(
    session: ReadSession, database: CurrentDatabase, blobs: BlobStore, user: Viewer, report_id: str
) -> ReportOut:
    """Return a report: category, percentages, intervals, flags, evidence, provenance, signature.

    Who was shown a computed one stands in the audit trail, once in ten minutes.
    """
    report = shown(session, blobs, service.get(session, report_id))
    if report.document is not None:
        audit.record_view(database, user, "report.viewed", Report.TOPIC, report_id)
    return report


def shown(session: ReadSession, blobs: BlobStore, report: Report) -> ReportOut:
    document = loading.document_of(blobs, report) if report.document_sha256 else None
    return ReportOut.of(
        report,
        amended_by=loading.successor_of(session, report),
        slide=requests.labels_of(session, report),
        seen=signing.review_extent(report, document),
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
        placed = service.placed_on_nuclei(session, blobs, report_id, wanted.decisions())
    with database.writing() as session:
        report, job = service.decide(
            session, settings, report_id, placed, reason=wanted.reason, by=user
        )
        return ReportJob.of(job, report.id)


@router.get("/reports/{report_id}/cells")
def list_decisions(session: ReadSession, _: Viewer, report_id: str) -> Page[EditOut]:
    """List every decision on cells, in their order; nothing is ever taken out of it."""
    report = service.get(session, report_id)
    return Page(items=[EditOut.model_validate(each) for each in edits.of_report(session, report)])


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


@router.get("/reports/{report_id}/signature")
def check_signature(
    session: ReadSession,
    blobs: BlobStore,
    settings: CurrentSettings,
    _: Viewer,
    report_id: str,
) -> SignatureCheck:
    """Say whether a signature is valid: by the installation's key, the hashes and the audit trail.

    Every stored byte of the report is read; nothing is computed again.
    """
    report = service.get(session, report_id)
    keys = trusted(settings.signing_key_file)
    standing, findings = integrity.standing(session, blobs, report, keys)
    return SignatureCheck(
        report_id=report.id, standing=standing, key=report.signature_key, findings=findings
    )


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
        snapshot = service.freeze(session, blobs, settings, old.slide_id, wanted.wanted())
    with database.writing() as session:
        report, job = service.amend(
            session,
            settings,
            report_id,
            snapshot,
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
