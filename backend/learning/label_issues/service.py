"""Doubtful pixels of people's masks: an audit is asked for, and its findings are listed.

What an audit found in a mask holds for that very revision: a newer one makes it disappear.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.repeats import IdempotencyKey, same_request
from backend.jobs.tables import Job
from backend.kit.db.session import Database
from backend.kit.errors import BadRequest, NotFound, Unprocessable
from backend.learning.annotations import newest_masks
from backend.learning.annotations.newest_masks import NEWEST
from backend.learning.annotations.tables import Annotation
from backend.learning.label_issues import lifecycle
from backend.learning.label_issues.tables import IssueKind, LabelAudit, LabelIssue, LabelJudgement
from backend.learning.rounds import service as rounds
from backend.learning.rounds.snapshot import Snapshot, write_of_present
from backend.people.audit import service as audit_trail
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.patches.tables import Patch, PatchRole

SUBJECT = "annotations"
"""Of the job: an audit judges all of them, so there is one at a time."""
LEAST_MASKS = 2
"""A network that learned from one can judge another."""


class TooFewAnnotations(Unprocessable):
    code = "too_few_annotations"
    title = "There is not enough to learn from yet"


class LabelIssueNotFound(NotFound):
    code = "label_issue_not_found"


class BadCursor(BadRequest):
    code = "bad_cursor"


@dataclass(frozen=True)
class IssueView:
    """An issue with all that a person wants to know of it."""

    issue: LabelIssue
    judgement: LabelJudgement
    audit: LabelAudit
    annotation: Annotation
    patch: Patch


@dataclass(frozen=True)
class Overview:
    """The last whole audit, how it stands to the masks of now, and the job of the next one.

    judged: masks it judged. open_issues: all that still hold, whatever the list is narrowed to.
    not_judged: accepted masks that it has not seen, so that a person knows when to ask again.
    """

    audit: LabelAudit | None
    judged: int
    open_issues: int
    not_judged: int
    job: Job | None


def request(
    database: Database,
    settings: Settings,
    *,
    by: User,
    idempotency_key: IdempotencyKey | None = None,
) -> Job:
    """Ask for an audit of all accepted masks as they are now; one that is going on is returned."""

    def known(session: Session) -> Job | None:
        return same_request(session, idempotency_key) or active(session)

    def require(snapshot: Snapshot) -> None:
        rounds.require_encoder_weights(settings.encoder_weights, settings.encoder)
        require_enough(snapshot)

    def write(session: Session, snapshot: Snapshot) -> Job:
        job = jobs.enqueue(
            session,
            settings,
            JobKind.AUDIT_LABELS,
            SUBJECT,
            requested_by=by.id,
            idempotency_key=idempotency_key,
        )
        if lifecycle.of_job(session, job.id) is None:
            sha256 = snapshot.sha256
            row = LabelAudit(
                job_id=job.id,
                requested_by=by.id,
                snapshot_sha256=sha256,
                config=rounds.frozen(settings) | {"folds": settings.audit_folds},
            )
            session.add(row)
            session.flush()
            audit_trail.record(
                session, by, "label_audit.requested", "label_audit", row.id, snapshot=sha256
            )
        return job

    return write_of_present(database, settings, known=known, require=require, write=write)


def active(session: Session) -> Job | None:
    """Return the job of the audit that is going on."""
    return jobs.active_job(session, JobKind.AUDIT_LABELS, SUBJECT)


def require_enough(snapshot: Snapshot) -> None:
    """Refuse at once what could not be judged out of fold."""
    training = len(snapshot.complete_of_role(PatchRole.TRAINING))
    if training < LEAST_MASKS:
        raise TooFewAnnotations(
            f"An audit learns from some masks to judge the others: it needs {LEAST_MASKS} accepted "
            f"training annotations, and there are {training}. Go on annotating.",
            training=training,
        )


def newest(session: Session) -> LabelAudit | None:
    """Return the newest audit that was finished."""
    return session.scalar(
        select(LabelAudit)
        .where(LabelAudit.finished_at.is_not(None))
        .order_by(LabelAudit.id.desc())
        .limit(1)
    )


def overview(session: Session) -> Overview:
    audit = newest(session)
    job = active(session)
    if audit is None:
        return Overview(None, 0, 0, newest_masks.count_accepted(session), job)
    judged = select(LabelJudgement.annotation_id).where(LabelJudgement.audit_id == audit.id)
    return Overview(
        audit,
        judged=session.scalar(select(func.count()).select_from(judged.subquery())) or 0,
        open_issues=session.scalar(
            select(func.count())
            .select_from(LabelIssue)
            .join(Annotation, LabelIssue.annotation_id == Annotation.id)
            .join(Patch, Annotation.patch_id == Patch.id)
            .where(LabelIssue.audit_id == audit.id, NEWEST)
        )
        or 0,
        not_judged=newest_masks.count_accepted(session, besides=judged),
        job=job,
    )


def listing(
    session: Session,
    *,
    slide_id: str | None = None,
    patch_id: str | None = None,
    kind: IssueKind | None = None,
    limit: int,
    cursor: str | None,
) -> tuple[list[IssueView], str | None]:
    """Return a page of the last whole audit's issues that still hold, worst first.

    A cursor goes on in the audit it came from, so pages fit together while a newer one ends.
    """
    audit, after = decoded(session, cursor) if cursor else (newest(session), 0)
    if audit is None:
        return [], None
    statement = (
        select(LabelIssue, LabelJudgement, Annotation, Patch)
        .join(
            LabelJudgement,
            (LabelIssue.audit_id == LabelJudgement.audit_id)
            & (LabelIssue.annotation_id == LabelJudgement.annotation_id),
        )
        .join(Annotation, LabelIssue.annotation_id == Annotation.id)
        .join(Patch, Annotation.patch_id == Patch.id)
        .options(joinedload(Annotation.author))
        .where(LabelIssue.audit_id == audit.id, LabelIssue.rank > after, NEWEST)
    )
    narrowed: tuple[tuple[Any, Any], ...] = (
        (Patch.slide_id, slide_id),
        (Patch.id, patch_id),
        (LabelIssue.kind, kind),
    )
    for column, wanted in narrowed:
        if wanted is not None:
            statement = statement.where(column == wanted)
    rows = session.execute(statement.order_by(LabelIssue.rank).limit(limit + 1)).all()
    page = [
        IssueView(issue, judgement, audit, annotation, patch)
        for issue, judgement, annotation, patch in rows[:limit]
    ]
    more = len(rows) > limit
    return page, f"{audit.id}:{page[-1].issue.rank}" if more else None


def decoded(session: Session, cursor: str) -> tuple[LabelAudit, int]:
    audit_id, _, rank = cursor.partition(":")
    audit = session.get(LabelAudit, audit_id)
    if audit is None or not (rank.isascii() and rank.isdecimal() and len(rank) < 10):
        raise BadCursor("This cursor is not from a list of label issues.")
    return audit, int(rank)


def pixels_sha256(session: Session, issue_id: str) -> str:
    """Return the key of an issue's pixels; a stale one keeps them."""
    issue = session.get(LabelIssue, issue_id)
    if issue is None:
        raise LabelIssueNotFound("There is no label issue with this id.")
    return issue.pixels_sha256


def text_of(view: IssueView) -> str:
    """Say in a sentence what is doubted, why, and what it may be."""
    issue = view.issue
    unseen = "this slide's masks" if view.audit.held_out == "slide" else "this mask"
    network = f"a model that never saw {unseen}"
    place = f"{area_um2(view):.1f} µm²"
    if issue.kind == IssueKind.MISSING:
        return (
            f"No membrane is drawn on {place} where {network} finds one ({issue.score:.0%} sure): "
            "a stretch may be missing, or drawn beside the membrane."
        )
    return (
        f"Membrane is drawn on {place} where {network} finds none ({issue.score:.0%} sure): "
        "it may be a filled cell, or a stroke that is too broad or beside the membrane."
    )


def area_um2(view: IssueView) -> float:
    return float(view.issue.size_px * view.audit.config["analysis_mpp"] ** 2)
