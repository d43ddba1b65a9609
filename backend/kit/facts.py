"""Facts: a domain says what has changed, and whoever must follow does so in the same transaction.

A fact is a small frozen dataclass of the domain in which it happens. Who follows it may stand
higher in the house, and the domain does not know who that is: the calls upward go through here. So
do questions: what a domain has to show, and only those above it know.

Functions are marked where they stand, with `@on`; who listens, and in which order, is read in
`backend/wiring.py`. A process that forgot to load that would lose what must follow, so there a fact
is an error.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from backend.settings import Settings

A = TypeVar("A")
F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Fact:
    """What happened; the fields name the rows that it happened to.

    Followed by functions of a session, the settings and the fact.
    """


@dataclass(frozen=True)
class Question(Generic[A]):
    """What is asked, of the rows that the fields name; A is what one answer is.

    Answered by functions of a session and the question.
    """


Happening = type[Fact] | type[Question[Any]]
HEARS = "__hears__"
_listeners: dict[Happening, list[Callable[..., Any]]] = defaultdict(list)
_loaded: set[str] = set()


class NobodyListens(RuntimeError):
    """No `wiring.listen` was called in this process: what must follow a change would be lost."""


def on(*happenings: Happening) -> Callable[[F], F]:
    """Mark what follows such facts, in their very transaction, or answers such questions.

    What it raises undoes the change that it follows.
    """

    def mark(function: F) -> F:
        setattr(function, HEARS, happenings)
        return function

    return mark


def listen(modules: Iterable[ModuleType]) -> None:
    """Have the marked functions of these modules follow, in this order; once for each process."""
    for module in modules:
        if module.__name__ in _loaded:
            continue
        _loaded.add(module.__name__)
        for function in vars(module).values():
            # what is imported from elsewhere listens there
            if getattr(function, "__module__", None) != module.__name__:
                continue
            for happening in getattr(function, HEARS, ()):
                _listeners[happening].append(function)


def tell(session: Session, settings: Settings, fact: Fact) -> None:
    """Have everybody follow a fact in this transaction. Raise NobodyListens, or what they raise."""
    for listener in heard(fact):
        listener(session, settings, fact)


def ask(session: Session, question: Question[A]) -> list[A]:
    """Return what those say who know; raise NobodyListens, or what they raise."""
    return [listener(session, question) for listener in heard(question)]


def heard(happening: Fact | Question[Any]) -> list[Callable[..., Any]]:
    if not _loaded:
        raise NobodyListens(f"Nobody hears of {happening}: this process loads no listeners.")
    return _listeners[type(happening)]


def listeners() -> dict[Happening, tuple[Callable[..., Any], ...]]:
    """Return who follows what in this process."""
    return {happening: tuple(functions) for happening, functions in _listeners.items()}
