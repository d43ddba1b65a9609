"""Write events beside the change they tell of; read them in order for the stream."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from backend.kit.events.facts import Announced
from backend.kit.events.tables import Event
from backend.kit.facts import tell
from backend.settings import get_settings

Pulse = tuple[int, int, int]


def announce(session: Session, topic: str, subject_id: str, data: dict[str, Any]) -> None:
    """Add an event to the caller's transaction: seen only if the change itself is."""
    session.add(Event(topic=topic, subject_id=subject_id, data=data))
    tell(session, get_settings(), Announced(topic, [(subject_id, data)]))


def announce_all(
    session: Session, topic: str, subjects: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Add an event for each subject, in one statement."""
    if subjects:
        rows = [{"topic": topic, "subject_id": each, "data": data} for each, data in subjects]
        session.execute(insert(Event), rows)
        tell(session, get_settings(), Announced(topic, subjects))


def since(session: Session, last_id: int, *, limit: int = 500) -> Sequence[Event]:
    return session.scalars(
        select(Event).where(Event.id > last_id).order_by(Event.id).limit(limit)
    ).all()


def pulse(session: Session, last_id: int) -> Pulse:
    """Return `last_id`, the newest id after it, and how many there are: alike means no news.

    Asked twice a second while anybody listens; a fifth of the cost of reading the rows.
    """
    newest = session.execute(
        select(func.max(Event.id), func.count()).where(Event.id > last_id)
    ).one()
    return last_id, newest[0] or 0, newest[1]


def newest_ids(session: Session, count: int) -> Sequence[int]:
    """Return the ids that are there among the `count` up to the newest."""
    newest = select(func.max(Event.id)).scalar_subquery()
    return session.scalars(select(Event.id).where(Event.id > newest - count)).all()


def forget_before(session: Session, moment: datetime) -> None:
    session.execute(delete(Event).where(Event.created_at < moment))
