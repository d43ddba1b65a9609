"""The table of facts in docs/architecture.md: who follows what, as `wiring.py` has it."""

from inspect import getdoc

from backend import wiring
from backend.kit.facts import listeners
from documents.passages import table


def facts() -> str:
    """Every fact that somebody follows, where it is told, and who follows it in which order."""
    wiring.listen()
    rows = [
        [
            f"`{place(fact.__module__)}.{fact.__name__}`",
            (getdoc(fact) or "").split("\n")[0],
            ", ".join(f"`{place(each.__module__)}.{each.__name__}`" for each in followers),
        ]
        for fact, followers in listeners().items()
    ]
    return table(["fact", "what happened", "followed by, in this order"], sorted(rows))


def place(module: str) -> str:
    return module.removeprefix("backend.")
