"""What must leave the process after the commit, and only then: the bells of queued jobs."""

from collections.abc import Callable

from sqlalchemy.orm import Session

Message = Callable[[], object]
KEY = "outbox"


def after_commit(session: Session, message: Message) -> None:
    """Keep a call until the session has committed; a roll-back forgets it."""
    session.info.setdefault(KEY, []).append(message)


def send(session: Session) -> None:
    """Make the calls of a committed session."""
    for message in session.info.pop(KEY, []):
        message()
