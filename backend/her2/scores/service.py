"""The live score: begun once, then it follows every change; people decide on single cells."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from backend.her2.scores import decisions, inputs
from backend.her2.scores import log as log_of_scores
from backend.her2.scores.cells import REACH_UM, CellIndex, columns_in, nearest
from backend.her2.scores.changes import go, held, touch
from backend.her2.scores.statements import FILE as STATEMENTS
from backend.her2.scores.statements import Statements
from backend.her2.scores.tables import CellAction, CellDecision, LiveScore, ScoreState
from backend.her2.scores.thresholds import in_order
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.kit.errors import Conflict, Unprocessable
from backend.kit.facts import on
from backend.kit.states import move
from backend.kit.storage.blobs import Blobs
from backend.learning.queue.facts import InfluenceWanted
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides

MOST_DECISIONS = 20_000
BREAST = "asco_cap_2023_breast"


class NoScore(Conflict):
    code, title = "no_score", "The slide has no live score yet"


class NoCellThere(Unprocessable):
    code, title = "no_cell_there", "There is no measured cell at this place"


class NoZeroPlus(Unprocessable):
    code, title = "no_zero_plus", "The protocol has no category 0+"


class NoGap(Unprocessable):
    code, title = "no_gap", "The protocol leaves no pattern open"


class Outdated(Exception):
    """Something changed while the score was computed: it has to be computed again."""


@dataclass(frozen=True)
class Decision:
    """What a person decides of the nucleus nearest to a place, level-0 px.

    cell, measured: its number in the report that it is decided on in, and its class there.
    """

    x: float
    y: float
    action: CellAction
    label: str | None = None
    cell: int | None = None
    measured: str | None = None


@dataclass(frozen=True)
class ComputedScore:
    """A computed score: for the change numbered `wanted`, from inputs, in blobs by name.

    changes: what of the inputs differs from those of the score before (log.changes).
    """

    wanted: int
    inputs: dict[str, Any]
    files: dict[str, str]
    document: dict[str, Any]
    changes: dict[str, Any]


def find(session: Session, slide_id: str) -> LiveScore | None:
    slides.visible(session, slide_id)
    return session.scalar(select(LiveScore).where(LiveScore.slide_id == slide_id))


def begin(
    database: Database,
    settings: Settings,
    blobs: Blobs,
    slide_id: str,
    wanted: Callable[..., dict[str, Any]],
    *,
    by: User,
) -> Job:
    """Begin to score a slide, or score it otherwise.

    wanted: returns the changes, told whether the score `begins` with them: protocol, gap,
    thresholds; and what is said of it, by Statements' names. That is a blob before the transaction
    begins; where somebody has changed the score meanwhile, it begins anew.
    """
    while True:
        with database.reading() as session:
            row = find(session, slide_id)
            inputs.prediction_for(session, slide_id, None)
        changes = wanted(begins=row is None)
        if thresholds := changes.get("thresholds"):
            in_order(thresholds)
        if ish := changes.get("ish"):
            changes = changes | {"ish": ish.entered(by)}
        rules, statements = changed(blobs, row, changes)
        files = {STATEMENTS: blobs.put(statements.content())} if statements else {}
        with database.writing() as session:
            present = held(session, slide_id) if find(session, slide_id) else None
            if basis_of(present) != basis_of(row):
                continue
            write(session, slide_id, present, rules, files)
            audit.record(session, by, "score.asked", "slide", slide_id, **changes)
            session.flush()
            job = touch(session, settings, slide_id)
            assert job is not None
            return job


def basis_of(row: LiveScore | None) -> tuple[str, str | None, str | None] | None:
    """Return what of a score other requests are held against."""
    return (row.protocol, row.gap, row.files.get(STATEMENTS)) if row else None


def changed(
    blobs: Blobs, row: LiveScore | None, changes: dict[str, Any]
) -> tuple[dict[str, Any], Statements | None]:
    """Return the rules that change, and what is said from now on if that changes.

    Raise NoGap or NoZeroPlus for what the protocol does not have.
    """
    names = {each.name for each in fields(Statements)}
    statements = {name: value for name, value in changes.items() if name in names}
    rules = {name: value for name, value in changes.items() if name not in names}
    if row and rules.get("protocol", row.protocol) != row.protocol:
        # another guideline has thresholds, open patterns and categories of its own
        rules = {"thresholds": None, "gap": None} | rules
        statements = {"merge_zero_plus": False} | statements
    before = Statements.of(blobs, row) if row else Statements()
    after = replace(before, **statements)
    protocol = rules.get("protocol", row and row.protocol)
    if rules.get("gap", row and row.gap) and protocol != BREAST:
        raise NoGap(f"{protocol} says what every pattern is scored as: it takes no gap policy.")
    if after.merge_zero_plus and protocol != BREAST:
        raise NoZeroPlus(f"{protocol} has no category 0+ that could be printed as 0.")
    return rules, None if after == before else after


def write(
    session: Session,
    slide_id: str,
    row: LiveScore | None,
    rules: dict[str, Any],
    files: dict[str, str],
) -> None:
    """Write the rules that change and the files that are new; row: held, None where it begins."""
    if row is None:
        session.add(LiveScore(slide_id=slide_id, files=files, **rules))
    else:
        for name, value in rules.items():
            setattr(row, name, value)
        row.files = {**row.files, **files}
    session.flush()


@on(InfluenceWanted)
def require_computed(session: Session, settings: Settings, fact: InfluenceWanted) -> None:
    """Refuse an order by influence where no live score says what matters."""
    scored = select(LiveScore.id).where(LiveScore.computed_at.is_not(None)).limit(1)
    if fact.slide_id is None:
        if session.scalar(scored) is None:
            raise NoScore("No slide has a live score: ask for one on the slide to work on.")
    elif session.scalar(scored.where(LiveScore.slide_id == fact.slide_id)) is None:
        raise NoScore("This slide has no live score: ask for it, and wait until it is computed.")


def followed(session: Session, slide_id: str) -> LiveScore:
    """Return the score of a slide; raise NoScore where nobody has begun one."""
    row = find(session, slide_id)
    if row is None:
        raise NoScore("Nobody has begun to score this slide yet: begin its score first.")
    return row


def place(
    session: Session, blobs: Blobs, slide_id: str, decisions: Sequence[Decision]
) -> list[Decision]:
    """Move decisions to the nuclei that they are about. Raise NoCellThere.

    It reads blocks of cells: on SQLite no writer may wait for that, so it goes before `decide`. A
    decision belongs to the nucleus as it was measured when it was made, whatever is computed next.
    """
    index = index_of(blobs, followed(session, slide_id))
    return [on_nucleus(blobs, index, each) for each in decisions]


def decide(
    session: Session,
    settings: Settings,
    slide_id: str,
    placed: Sequence[Decision],
    *,
    reason: str,
    by: User,
) -> Job:
    """Log decisions on nuclei and have the slide scored with them."""
    followed(session, slide_id)
    first = log(session, slide_id, placed, reason=reason, by=by)
    audit.record(
        session,
        by,
        "score.cells_changed",
        "slide",
        slide_id,
        edits=[first, first + len(placed) - 1],
        reason=reason,
    )
    session.flush()
    job = touch(session, settings, slide_id)
    assert job is not None
    return job


def log(
    session: Session,
    slide_id: str,
    decisions: Sequence[Decision],
    *,
    reason: str,
    by: User,
    report_id: str | None = None,
) -> int:
    """Write decisions down as the slide's next ones; return the number of the first.

    report_id: the draft that they were made in.
    """
    # rows that point at the slide are not held up: the score's job writes such
    slides.lock(session, slide_id, key_share=True)
    count, newest = session.execute(
        select(func.max(CellDecision.number), func.max(CellDecision.created_at)).where(
            CellDecision.slide_id == slide_id
        )
    ).one()
    first = (count or 0) + 1
    if first + len(decisions) > MOST_DECISIONS:
        raise Unprocessable(
            f"A slide takes {MOST_DECISIONS} decisions on cells; draw regions or masks anew.",
            code="too_many_edits",
        )
    # the later one counts, whatever another machine's clock has said
    at = max(now(), newest) if newest else now()
    session.add_all(
        CellDecision(
            slide_id=slide_id,
            report_id=report_id,
            cell=each.cell,
            measured=each.measured,
            number=number,
            x=each.x,
            y=each.y,
            action=each.action,
            label=each.label,
            author_id=by.id,
            reason=reason,
            created_at=at,
        )
        for number, each in enumerate(decisions, first)
    )
    session.flush()
    return first


def index_of(blobs: Blobs, row: LiveScore) -> CellIndex:
    """Return where a score's cells lie; NoScore before the first computation."""
    if "cells" not in row.files:
        raise NoScore("The slide's cells are being measured for the first time.")
    return CellIndex.read(blobs.read(row.files["cells"]))


def on_nucleus(blobs: Blobs, index: CellIndex, decision: Decision) -> Decision:
    """Move a decision to the nucleus that it is about."""
    reach = REACH_UM / index.mpp
    x, y = decision.x, decision.y
    box = (x - reach, y - reach, x + reach, y + reach)
    cells = columns_in(blobs, index, box, ("x", "y"))
    [number] = nearest(cells["x"], cells["y"], index.mpp, [decision])
    if number is None:
        raise NoCellThere(f"No nucleus lies within {REACH_UM:.0f} µm of ({x:.0f}, {y:.0f}).")
    at = float(cells["x"][number]), float(cells["y"][number])
    return Decision(*at, decision.action, decision.label)


def decisions_of(session: Session, slide_id: str) -> Select[CellDecision]:
    slides.visible(session, slide_id)
    return select(CellDecision).where(CellDecision.slide_id == slide_id)


def standing(session: Session, slide_id: str) -> list[Decision]:
    """Return the decisions that stand, in their order; `include` takes others back."""
    return [
        Decision(row.x, row.y, row.action, row.label)
        for row in decisions.standing(session, slide_id)
    ]


def viewport(
    session: Session,
    blobs: Blobs,
    row: LiveScore,
    box: tuple[float, float, float, float],
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[int, Decision]]:
    """Return columns of the cells in a box (left, top, right, bottom), and who decided on them."""
    index = index_of(blobs, row)
    names = ("x", "y", "label", "intensity", "unshared", "membrane")
    columns = columns_in(blobs, index, box, names)
    reach = REACH_UM / index.mpp
    left, top, right, bottom = box
    near = [
        each
        for each in standing(session, row.slide_id)
        if left - reach <= each.x < right + reach and top - reach <= each.y < bottom + reach
    ]
    numbers = nearest(columns["x"], columns["y"], index.mpp, near)
    decided = {
        number: each for number, each in zip(numbers, near, strict=True) if number is not None
    }
    return columns, {
        number: each for number, each in decided.items() if each.action != CellAction.INCLUDE
    }


def document_of(blobs: Blobs, row: LiveScore) -> dict[str, Any] | None:
    """Return the last computed document."""
    if "document" not in row.files:
        return None
    document: dict[str, Any] = json.loads(blobs.read(row.files["document"]))
    return document


def keep(session: Session, slide_id: str, computed: ComputedScore, *, last: bool) -> LiveScore:
    """Write what was computed.

    `last`: the job is to end with it; raises Outdated if more has changed meanwhile.
    """
    row = held(session, slide_id)
    if last and row.wanted != computed.wanted:
        raise Outdated
    if row.printed_score is not None and row.printed_score != computed.document["printed_score"]:
        row.previous_score = row.printed_score
    statements = {name: blob for name, blob in row.files.items() if name == STATEMENTS}
    row.files = {**computed.files, **statements}
    session.flush()
    go(
        session,
        row,
        ScoreState.CURRENT if row.wanted == computed.wanted else ScoreState.COMPUTING,
        computed=computed.wanted,
        inputs=computed.inputs,
        score=computed.document["score"],
        printed_score=computed.document["printed_score"],
        computed_at=now(),
        problem=None,
    )
    log_of_scores.append(session, slide_id, computed.wanted, computed.changes, computed.document)
    return row


@jobs.on_failure(JobKind.SCORE)
def give_up(session: Session, settings: Settings, job: Job, problem: dict[str, Any]) -> None:
    """Tell the score why its job ended; the next change tries again.

    Where a change has asked for another job meanwhile, that one's end is the score's.
    """
    row_id = session.scalar(select(LiveScore.id).where(LiveScore.slide_id == job.subject))
    if row_id is not None:
        ours = or_(LiveScore.job_id == job.id, LiveScore.job_id.is_(None))
        move(session, LiveScore, row_id, ScoreState.FAILED, ours, problem=problem)
