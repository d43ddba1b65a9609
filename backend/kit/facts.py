"""Facts: a domain says what has changed, and whoever must follow does so in the same transaction.

A fact is a small frozen dataclass of the domain in which it happens. Who follows it may stand
higher in the house, and the domain does not know who that is: the calls upward go through here.
Listeners are marked where they stand, with `@on`; who listens, and in which order, is read in
`backend/wiring.py`. A process that forgot to load that would lose what must follow, so there a fact
is an error.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from backend.settings import Settings


@dataclass(frozen=True)
class Fact:
    """What happened; the fields name the rows that it happened to."""


Listener = Callable[[Session, Settings, Any], object]
L = TypeVar("L", bound=Listener)
HEARS = "__hears__"
_listeners: dict[type[Fact], list[Listener]] = defaultdict(list)
_loaded: set[str] = set()


class NobodyListens(RuntimeError):
    """No `wiring.listen` was called in this process: what must follow a change would be lost."""


def on(*facts: type[Fact]) -> Callable[[L], L]:
    """Mark what must follow such a fact, in its very transaction; what it raises undoes both."""

    def mark(function: L) -> L:
        setattr(function, HEARS, facts)
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
            for fact in getattr(function, HEARS, ()):
                _listeners[fact].append(function)


def tell(session: Session, settings: Settings, fact: Fact) -> None:
    """Have everybody follow a fact in this transaction. Raise NobodyListens, or what they raise."""
    if not _loaded:
        raise NobodyListens(f"{fact} was told in a process that loads no listeners.")
    for listener in _listeners[type(fact)]:
        listener(session, settings, fact)


def listeners() -> dict[type[Fact], tuple[Listener, ...]]:
    """Return who follows which fact in this process."""
    return {fact: tuple(functions) for fact, functions in _listeners.items()}
