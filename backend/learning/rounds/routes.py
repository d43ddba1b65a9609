"""Rounds over REST."""

from fastapi import APIRouter, status

from backend.jobs.idempotency import KeyOfRequest
from backend.kit.dependencies import CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.paging import Cursor, Limit
from backend.learning.rounds import lifecycle, service
from backend.learning.rounds.schemas import RoundDetail, RoundJob, RoundList, RoundOut, RoundStarted
from backend.people.users.guards import Pathologist, Viewer

router = APIRouter(prefix="/rounds", tags=["learning"])


@router.post("", status_code=status.HTTP_202_ACCEPTED)
def start_round(
    database: CurrentDatabase,
    settings: CurrentSettings,
    user: Pathologist,
    idempotency_key: KeyOfRequest = None,
) -> RoundStarted:
    """Start a round on everything annotated so far; a live one is returned instead of a second."""
    row, running = service.start(database, settings, by=user, idempotency_key=idempotency_key)
    with database.reading() as session:
        [view] = service.views(session, [row])
    return RoundStarted(
        round=RoundOut.of(view),
        job=RoundJob.of(view.job) if view.job else None,
        already_running=running,
    )


@router.get("")
def list_rounds(
    session: ReadSession,
    settings: CurrentSettings,
    user: Viewer,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RoundList:
    """List rounds, newest first, and say how many annotations wait for the next one."""
    rows, next_cursor = service.listing(session, limit=limit, cursor=cursor)
    return RoundList(
        items=[RoundOut.of(view) for view in rows],
        next_cursor=next_cursor,
        annotations_since=service.annotations_since(session),
        threshold=settings.round_annotations,
        gold_counted=service.gold_counted(session),
        gold_needed=settings.gold_patches,
    )


@router.get("/{round_id}")
def get_round(session: ReadSession, user: Viewer, round_id: str) -> RoundDetail:
    """Show a round: state and reason, snapshot, metrics on gold, curves."""
    [view] = service.views(session, [service.get(session, round_id)])
    return RoundDetail.with_curves(view, lifecycle.curves(session, round_id))
