"""The edge of a transaction: its last acts, and what leaves the process after the commit."""

from collections.abc import Callable

from sqlalchemy.orm import Session

Message = Callable[[], object]
Act = Callable[[Session], object]
KEY = "outbox"
LAST = "last_acts"


def after_commit(session: Session, message: Message) -> None:
    """Keep a call until the session has committed; a roll-back forgets it."""
    session.info.setdefault(KEY, []).append(message)


def before_commit(session: Session, act: Act) -> None:
    """Do something as the last of a transaction, once however often it is asked for.

    For what takes a lock that everybody wants: it is held for as long as a commit takes.
    """
    session.info.setdefault(LAST, {})[act] = None


def finish(session: Session) -> None:
    """Do what is to be done last."""
    for act in session.info.pop(LAST, {}):
        act(session)


def send(session: Session) -> None:
    """Make the calls of a committed session."""
    for message in session.info.pop(KEY, []):
        message()
