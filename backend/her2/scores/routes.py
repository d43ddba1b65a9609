"""The live score over HTTP: asked for, followed, and corrected cell by cell."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from backend.her2.scores import log, service, stopping
from backend.her2.scores.schemas import (
    CellDecisionOut,
    CellDecisionsIn,
    CellOut,
    CellsOut,
    ScoreIn,
    ScoreOut,
)
from backend.her2.scores.statements import Statements
from backend.her2.scores.stopping_schemas import ScoreLogOut
from backend.her2.scores.tables import CellAction, CellDecision
from backend.jobs.schemas import JobOut
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.paging import Page, Paged
from backend.people.users.guards import Pathologist, Viewer

router = APIRouter(prefix="/slides/{slide_id}", tags=["her2"])
Px = Annotated[float, Query(ge=-1e6, le=1e7, allow_inf_nan=False, description="Level-0 px.")]
Side = Annotated[float, Query(gt=0, le=1e7, allow_inf_nan=False, description="Level-0 px.")]
Most = Annotated[int, Query(ge=1, le=10_000, description="Cells at most; `total` says how many.")]


@router.get("/score")
def get_score(session: ReadSession, blobs: BlobStore, _: Viewer, slide_id: str) -> ScoreOut:
    """Return the slide's HER2 score as it stands, and whether a change is still being computed."""
    row = service.find(session, slide_id)
    if row is None:
        return ScoreOut(slide_id=slide_id, state="none")
    standing = service.standing(session, slide_id)
    counted = sum(each.action != CellAction.INCLUDE for each in standing)
    statements = Statements.of(blobs, row)
    document = service.document_of(blobs, row)
    places = stopping.patches_of(session, slide_id, document)
    return ScoreOut.of(row, document, places, counted, statements)


@router.get("/score/log")
def get_score_log(session: ReadSession, _: Viewer, slide_id: str) -> ScoreLogOut:
    """Return every computed score of the slide in order: what changed, and what it counted as.

    `membrana report replay FILE` shows it.
    """
    return ScoreLogOut(**log.document(session, slide_id))


@router.put("/score", status_code=status.HTTP_202_ACCEPTED)
def put_score(
    database: CurrentDatabase,
    settings: CurrentSettings,
    blobs: BlobStore,
    user: Pathologist,
    slide_id: str,
    wanted: ScoreIn,
) -> JobOut:
    """Begin to score a slide live, or change the rules, what-if thresholds or what is said of it.

    That is: cytoplasm that hides membranes, an in situ hybridisation. Reports take it over.
    """
    job = service.begin(database, settings, blobs, slide_id, wanted.changes, by=user)
    return JobOut.model_validate(job)


@router.get("/cells")
def get_cells(
    session: ReadSession,
    blobs: BlobStore,
    _: Viewer,
    slide_id: str,
    x: Px,
    y: Px,
    width: Side,
    height: Side,
    limit: Most = 2000,
) -> CellsOut:
    """Return the measured cells whose nucleus lies in a box of the slide."""
    row = service.followed(session, slide_id)
    columns, decided = service.viewport(session, blobs, row, (x, y, x + width, y + height))
    total = len(columns["x"])
    items = [CellOut.of(columns, number, decided.get(number)) for number in range(total)[:limit]]
    return CellsOut(items=items, total=total)


@router.post("/cells/decisions", status_code=status.HTTP_202_ACCEPTED)
def decide(
    database: CurrentDatabase,
    settings: CurrentSettings,
    blobs: BlobStore,
    user: Pathologist,
    slide_id: str,
    wanted: CellDecisionsIn,
) -> JobOut:
    """Exclude cells, set their class, or take that back (`include`); logged with the reason."""
    with database.reading() as session:
        placed = service.place(session, blobs, slide_id, wanted.as_placed())
    with database.writing() as session:
        job = service.decide(session, settings, slide_id, placed, reason=wanted.reason, by=user)
        return JobOut.model_validate(job)


@router.get("/cells/decisions")
def list_decisions(
    session: ReadSession, _: Viewer, slide_id: str, page: Paged
) -> Page[CellDecisionOut]:
    """List every decision on the slide's cells, newest first."""
    decisions = service.decisions_of(session, slide_id)
    return page.newest(session, decisions, CellDecision.id, CellDecisionOut.model_validate)
