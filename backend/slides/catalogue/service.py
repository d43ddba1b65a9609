"""Slides: made from a received file, measured by ingest, described and changed by people."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.db.outbox import after_commit
from backend.kit.db.session import get_database
from backend.kit.errors import Conflict, NotFound
from backend.kit.events.service import announce
from backend.kit.facts import ask
from backend.kit.states import move, move_or_conflict
from backend.kit.storage.sweeping import remove as remove_path
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import leftovers
from backend.slides.catalogue.facts import ReadInStudy
from backend.slides.catalogue.tables import Slide, SlideState, Split
from backend.slides.patches import service as patches
from backend.slides.reading.reader import open_slides, slide_path

JOBS_OF_A_SLIDE = (JobKind.INGEST, JobKind.PREDICT, JobKind.PREDICT_VIEWPORT)
VISIBLE = (SlideState.READY, SlideState.ARCHIVED, SlideState.NEEDS_MPP)
"""States whose pixels can be shown: opened, measured, and if need be converted."""


class SlideNotFound(NotFound):
    code = "slide_not_found"


class SlideBusy(Conflict):
    code, title = "slide_busy", "The slide is being worked on"


class SlideAnnotated(Conflict):
    code, title = "slide_annotated", "People have annotated this slide"


class SlideInUse(Conflict):
    code, title = "slide_in_use", "A round, a study or a signed report rests on this slide"


class SlideNotVisible(Conflict):
    code, title = "slide_not_ready", "The slide can't be shown yet"


def get(session: Session, slide_id: str) -> Slide:
    slide = session.get(Slide, slide_id)
    if slide is None:
        raise SlideNotFound("There is no slide with this id.")
    return slide


def lock(session: Session, slide_id: str, *, key_share: bool = False) -> None:
    """Have writers of what is counted or numbered by slide queue at its row, on PostgreSQL.

    SQLite has one writer at a time. key_share: does not hold up rows that point at the slide.
    """
    row = select(Slide.id).where(Slide.id == slide_id)
    session.execute(row.with_for_update(key_share=key_share))


def visible(session: Session, slide_id: str) -> tuple[Slide, int, int]:
    """Return a slide whose pixels can be shown, with its width and height."""
    slide = get(session, slide_id)
    if slide.state not in VISIBLE or slide.width is None or slide.height is None:
        raise SlideNotVisible("The slide is not read yet, or could not be read.")
    return slide, slide.width, slide.height


def listing(state: SlideState | None = None, case_id: str | None = None) -> Select[Slide]:
    statement = select(Slide)
    if state is not None:
        statement = statement.where(Slide.state == state)
    if case_id is not None:
        statement = statement.where(Slide.case_id == case_id)
    return statement


def of_case(session: Session, case_id: str) -> set[str]:
    """Return the ids of a case's slides."""
    return set(session.scalars(select(Slide.id).where(Slide.case_id == case_id)))


def ready(slide_id: str | None = None) -> Select[str]:
    """Select the slides that models can see, or the one, if they can see it."""
    statement = select(Slide.id).where(Slide.state == SlideState.READY)
    return statement if slide_id is None else statement.where(Slide.id == slide_id)


def counts(session: Session) -> list[tuple[SlideState, int, int]]:
    """Return how many slides are in each state, and the bytes of their files."""
    sums = select(Slide.state, func.count(), func.sum(Slide.byte_size)).group_by(Slide.state)
    return [(state, count, size) for state, count, size in session.execute(sums)]


def patch_total(session: Session) -> int:
    """Return how many patches there are, of all slides."""
    return session.scalar(select(func.sum(Slide.patch_count))) or 0


def slide_of(job: Job) -> str:
    """Return the slide a job works on: its subject begins with the slide's id."""
    return job.subject.partition(":")[0]


def active_jobs(session: Session) -> Sequence[Job]:
    """Return the jobs that work on any slide now, oldest first."""
    return jobs.active_of(session, JOBS_OF_A_SLIDE)


def create(
    session: Session,
    settings: Settings,
    *,
    sha256: str,
    byte_size: int,
    name: str,
    stain: str | None,
    case_id: str | None,
    mpp: float | None,
    created_by: str,
) -> tuple[Slide, bool]:
    """Return the slide of a received file and whether it was known; a failed one is tried again."""
    if known := with_content(session, sha256):
        return again(session, settings, known, mpp=mpp), True
    slide = Slide(
        sha256=sha256,
        byte_size=byte_size,
        name=name,
        stain=stain or "HER2",
        case_id=case_id,
        mpp=mpp,
        mpp_source="person" if mpp else None,
        created_by=created_by,
    )
    try:
        with session.begin_nested():
            session.add(slide)
    except IntegrityError:
        twin = with_content(session, sha256)
        if twin is None:
            raise
        return again(session, settings, twin, mpp=mpp), True
    announce(session, Slide.TOPIC, slide.id, {"state": str(SlideState.UPLOADED)})
    jobs.enqueue(session, settings, JobKind.INGEST, slide.id, requested_by=created_by)
    return slide, False


def with_content(session: Session, sha256: str) -> Slide | None:
    return session.scalar(select(Slide).where(Slide.sha256 == sha256))


def again(session: Session, settings: Settings, slide: Slide, *, mpp: float | None) -> Slide:
    """Take a file that is here already: go on where the first try could not."""
    if slide.state == SlideState.FAILED or (slide.state == SlideState.NEEDS_MPP and mpp):
        ingest_again(session, settings, slide, mpp=mpp)
    return slide


def ingest_again(session: Session, settings: Settings, slide: Slide, *, mpp: float | None) -> None:
    values: dict[str, Any] = {"mpp": mpp, "mpp_source": "person"} if mpp else {}
    move_or_conflict(
        session,
        Slide,
        slide.id,
        SlideState.INGESTING,
        "The pixel size of a slide that is ready can't be changed.",
        problem=None,
        **values,
    )
    jobs.enqueue(session, settings, JobKind.INGEST, slide.id)
    session.refresh(slide)


def change(
    session: Session, settings: Settings, slide_id: str, changes: dict[str, Any], *, by: User
) -> Slide:
    """Apply what a person named; a pixel size makes a waiting or failed slide go on."""
    slide = get(session, slide_id)
    for field in ("case_id", "block", "stain"):
        if field in changes and (field != "stain" or changes[field] is not None):
            setattr(slide, field, changes[field])
    session.flush()
    if changes.get("mpp") is not None:
        change_pixel_size(session, settings, slide, changes["mpp"])
    if changes.get("archived") is not None:
        archive(session, slide, archived=changes["archived"])
    facts = {"fields": sorted(changes)} | ({"mpp": changes["mpp"]} if changes.get("mpp") else {})
    audit.record(session, by, "slide.changed", "slide", slide_id, **facts)
    return slide


def join_case(slide: Slide, case_id: str) -> None:
    """Take the case of a slide that had none; `record_change` tells of it."""
    slide.case_id = case_id


def fix_split(slide: Slide, split: Split) -> None:
    """Say for ever whether a slide's masks teach or judge."""
    slide.split = split


def count_patches(session: Session, slide_id: str, more: int) -> None:
    """Count patches that people made beside those of the tissue finder."""
    session.execute(
        update(Slide)
        .where(Slide.id == slide_id)
        .values(patch_count=Slide.patch_count + more)
        .execution_options(synchronize_session=False)
    )


def record_change(session: Session, slide: Slide, fields: Sequence[str], *, by: User) -> None:
    """Log fields that were changed otherwise than by `change`, and tell the browsers."""
    session.flush()
    audit.record(session, by, "slide.changed", "slide", slide.id, fields=list(fields))
    announce(session, Slide.TOPIC, slide.id, {"state": str(slide.state)})


def change_pixel_size(session: Session, settings: Settings, slide: Slide, mpp: float) -> None:
    """Set the pixel size and ingest; refuse where work of people rests on the old one."""
    if slide.state in {SlideState.UPLOADED, SlideState.INGESTING}:
        raise SlideBusy("The slide is being read; set its pixel size when that has ended.")
    if slide.state in {SlideState.READY, SlideState.ARCHIVED}:
        if slide.mpp == mpp:
            return
        if patches.is_annotated(session, slide.id):
            raise SlideAnnotated(
                "The slide has annotations drawn at its present pixel size, so the size stays. "
                "An administrator may delete the slide and upload it anew."
            )
    if slide.mpp != mpp:
        require_no_study(session, slide.id, "its pixel size stays")
    ingest_again(session, settings, slide, mpp=mpp)


def require_no_study(session: Session, slide_id: str, stays: str) -> None:
    """Raise SlideInUse if the slide's patches are of a study: its readings would go with them.

    The row is held first, as who makes a study holds it: none begins after the question.
    """
    lock(session, slide_id, key_share=True)
    answers = ask(session, ReadInStudy(slide_id))
    if any(answers):
        raise SlideInUse(
            f"Several people read patches of this slide in a study, so {stays}: their readings "
            "would be lost. Archive the slide instead."
        )


def archive(session: Session, slide: Slide, *, archived: bool) -> None:
    to = SlideState.ARCHIVED if archived else SlideState.READY
    if slide.state == to:
        return
    if slide.state not in {SlideState.READY, SlideState.ARCHIVED}:
        raise Conflict("Only a slide that is ready can be archived.", code="slide_state")
    move_or_conflict(session, Slide, slide.id, to, "Somebody changed the slide meanwhile.")
    session.refresh(slide)


def remove(session: Session, slide_id: str, settings: Settings, *, by: User) -> None:
    """Delete a slide with all that was drawn and computed on it; files go after the commit."""
    slide = get(session, slide_id)
    require_no_study(session, slide_id, "it stays")
    for job in active_jobs(session):
        if slide_of(job) == slide_id:
            jobs.cancel(session, settings, job.id)
    try:
        with session.begin_nested():
            session.execute(delete(Slide).where(Slide.id == slide_id))
    except IntegrityError:
        raise SlideInUse(
            "Annotations of this slide trained or tested a model version, or a report on it was "
            "signed: such a record must stay whole. Archive the slide instead."
        ) from None
    announce(session, Slide.TOPIC, slide_id, {"state": "deleted"})
    audit.record(session, by, "slide.deleted", "slide", slide_id, sha256=slide.sha256)
    after_commit(session, partial(remove_files, slide, settings))


def remove_files(slide: Slide, settings: Settings) -> None:
    """Take the files of a deleted slide off the disk, unless it was uploaded again meanwhile.

    What else was stored for it (masks, reports) goes with the next sweep (worker: cleanup).
    """
    open_slides.forget(slide_path(slide, settings))
    with get_database(settings.sqlalchemy_url).writing() as session:
        gone = leftovers.set_aside(session, slide.sha256, settings)
    for path in gone:
        remove_path(path)


@jobs.on_failure(JobKind.INGEST)
def ingest_failed(session: Session, settings: Settings, job: Job, problem: dict[str, Any]) -> None:
    """Tell the slide why its ingest ended; a slide deleted meanwhile is past caring."""
    move(session, Slide, job.subject, SlideState.FAILED, problem=problem)
