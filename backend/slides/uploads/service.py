"""Uploads: rows that say how far each file has come, and the step from bytes to slide."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from backend.kit.db.base import now
from backend.kit.db.locks import alone
from backend.kit.db.outbox import after_commit
from backend.kit.db.session import Database
from backend.kit.errors import Conflict, NotFound, Unprocessable
from backend.kit.states import move
from backend.kit.storage.blobs import Blobs, file_sha256
from backend.people.users import service as users
from backend.people.users.tables import Role, User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.reading.formats import refuse_empty, sniff
from backend.slides.uploads import duplicates
from backend.slides.uploads.hashing import running
from backend.slides.uploads.receiving import check_space, upload_path
from backend.slides.uploads.schemas import Duplicate
from backend.slides.uploads.tables import Upload, UploadState
from backend.slides.uploads.tus import OffsetConflict, UploadGone, UploadTooLarge

log = logging.getLogger(__name__)
OPEN = (UploadState.RECEIVING, UploadState.COMPLETE)


class UploadNotFound(NotFound):
    code = "upload_not_found"


@dataclass(frozen=True)
class Received:
    """What is said of a file that came in one request, beside its bytes."""

    filename: str
    stain: str | None
    case_id: str | None
    mpp: float | None
    created_by: str


def create(
    session: Session,
    settings: Settings,
    *,
    length: int,
    filename: str,
    stain: str | None,
    case_id: str | None,
    mpp: float | None,
    by: User,
) -> Upload:
    """Announce a file; room for it is promised against all that is still to come."""
    if length == 0:
        refuse_empty(filename)
    if length > settings.max_upload_bytes:
        raise UploadTooLarge(
            f"The file has {length} bytes; this installation takes {settings.max_upload_bytes}."
        )
    check_space(settings, length + still_to_come(session))
    upload = Upload(
        length=length,
        filename=filename,
        stain=stain or "HER2",
        case_id=case_id,
        mpp=mpp,
        expires_at=now() + timedelta(hours=settings.upload_ttl_hours),
        created_by=by.id,
    )
    session.add(upload)
    session.flush()
    return upload


def still_to_come(session: Session) -> int:
    """Return the bytes promised to uploads that are on their way."""
    total = session.scalar(
        select(func.sum(Upload.length - Upload.received)).where(
            Upload.state == UploadState.RECEIVING, Upload.expires_at > now()
        )
    )
    return int(total or 0)


def get(session: Session, upload_id: str, *, by: User) -> Upload:
    """Return an upload of one's own; an administrator sees all. Others learn nothing of it."""
    upload = session.get(Upload, upload_id)
    if upload is None or (upload.created_by != by.id and by.role != Role.ADMIN):
        raise UploadNotFound("There is no upload with this id.")
    return upload


def open_upload(session: Session, upload_id: str, *, by: User) -> Upload:
    """Return an upload that is not over; raise UploadGone if it is."""
    upload = get(session, upload_id, by=by)
    late = upload.state in OPEN and upload.expires_at < now()
    if late or upload.state == UploadState.EXPIRED:
        raise UploadGone("The upload expired, was ended or refused. Start it anew.")
    return upload


def advance(session: Session, settings: Settings, upload_id: str, before: int, after: int) -> None:
    """Move the offset; whoever comes with an old one changes nothing."""
    moved = session.scalar(
        update(Upload)
        .where(
            Upload.id == upload_id,
            Upload.state == UploadState.RECEIVING,
            Upload.received == before,
        )
        .values(received=after, expires_at=now() + timedelta(hours=settings.upload_ttl_hours))
        .returning(Upload.id)
    )
    if moved is None:
        raise OffsetConflict("The upload moved on or ended meanwhile; ask for its offset.")
    move(session, Upload, upload_id, UploadState.COMPLETE, Upload.received == Upload.length)


def terminate(session: Session, settings: Settings, upload_id: str, *, by: User) -> None:
    """End an upload and forget its bytes; a slide made of it stays."""
    upload = open_upload(session, upload_id, by=by)
    if not move(session, Upload, upload.id, UploadState.EXPIRED):
        raise Conflict("The upload is a slide already.", code="upload_consumed")
    after_commit(session, partial(forget, upload_path(settings, upload.id)))


def finish(database: Database, settings: Settings, upload: Upload) -> tuple[str, Duplicate | None]:
    """Make the slide of a complete upload; return its id and, if it was known, what that means.

    May be repeated after a crash at any point: the bytes go away only when the row is written.
    """
    path = upload_path(settings, upload.id)
    sha256 = running.at(upload.id, upload.length).hexdigest()

    def consume(session: Session, slide: Slide, duplicate: Duplicate | None) -> None:
        summary = duplicate and duplicate.model_dump()
        move(session, Upload, upload.id, UploadState.CONSUMED, slide_id=slide.id, duplicate=summary)

    def refuse() -> None:
        with database.writing() as session:
            move(session, Upload, upload.id, UploadState.EXPIRED)

    try:
        result = make_slide(database, settings, path, upload, consume, sha256=sha256)
    except Unprocessable:
        refuse()
        forget(path)
        running.forget(upload.id)
        raise
    running.forget(upload.id)
    return result


def make_slide(
    database: Database,
    settings: Settings,
    path: Path,
    facts: Upload | Received,
    record: Callable[[Session, Slide, Duplicate | None], None] = lambda *_: None,
    *,
    sha256: str | None = None,
) -> tuple[str, Duplicate | None]:
    """Sniff and keep a received file, then write its slide.

    sha256: of the bytes as they came; without it the file is read for it.
    """
    content = sniff(path, name=facts.filename, settings=settings)
    sha256 = sha256 or file_sha256(path)
    byte_size = path.stat().st_size
    blobs = Blobs(settings.blob_folder)
    description: dict[str, Any] = {
        "name": facts.filename,
        "stain": facts.stain,
        "case_id": facts.case_id,
        "mpp": facts.mpp,
    }
    while True:
        keep_blob(blobs, path, sha256)
        with database.writing() as session:
            alone(session, sha256)
            if not blobs.has(sha256):
                # the slide was here, and has been deleted since it was stored: once more
                continue
            former = slides.with_content(session, sha256)
            waited = former is not None and former.state == SlideState.NEEDS_MPP
            slide, known = slides.create(
                session,
                settings,
                sha256=sha256,
                byte_size=byte_size,
                created_by=facts.created_by,
                **description,
            )
            duplicate = None
            if known:
                by = users.get_user(session, facts.created_by)
                duplicate = duplicates.reconcile(
                    session, slide, description, by=by, waited_for_mpp=waited
                )
            record(session, slide, duplicate)
        break
    forget(path)
    log.info("slide %s received: %s, %d bytes, known: %s", slide.id, content, byte_size, known)
    return slide.id, duplicate


def keep_blob(blobs: Blobs, path: Path, sha256: str) -> None:
    """Make a blob of a received file, which stays: another name for the same bytes."""
    keep = path.with_suffix(".keep")
    keep.unlink(missing_ok=True)
    os.link(path, keep)
    blobs.adopt(keep, sha256)


def forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def overdue(session: Session) -> Sequence[Upload]:
    return session.scalars(
        select(Upload).where(Upload.state.in_(OPEN), Upload.expires_at < now())
    ).all()


def expire(session: Session, settings: Settings) -> None:
    """Move overdue uploads to expired; delete their bytes, and files no upload owns any more."""
    for upload in overdue(session):
        if move(session, Upload, upload.id, UploadState.EXPIRED):
            after_commit(session, partial(forget, upload_path(settings, upload.id)))
    oldest = now() - timedelta(hours=settings.upload_ttl_hours)
    for path in settings.upload_folder.glob("*.*"):
        if path.stat().st_mtime < oldest.timestamp() and not is_open(session, path.stem):
            after_commit(session, partial(forget, path))


def is_open(session: Session, upload_id: str) -> bool:
    upload = session.get(Upload, upload_id)
    return upload is not None and upload.state in OPEN
