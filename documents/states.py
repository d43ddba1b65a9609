"""The tables of states in docs/architecture.md: drawn from each table's TRANSITIONS."""

from importlib import import_module
from typing import Any

from sqlalchemy import CheckConstraint, Index, Table

from backend.kit.db.base import Base
from documents.passages import table


def states() -> str:
    """Every thing that has states: its moves, and what the database itself holds."""
    import_module("backend.tables")
    stateful = [
        mapper.class_ for mapper in Base.registry.mappers if hasattr(mapper.class_, "TRANSITIONS")
    ]
    rows = [
        [f"{each.__name__}", moves(each), held(each)]
        for each in sorted(stateful, key=lambda each: each.__name__)
    ]
    return table(["thing", "moves", "held by the database, too"], rows)


def moves(thing: type[Any]) -> str:
    """One line a state that anything leads out of."""
    lines = []
    for state, targets in thing.TRANSITIONS.items():
        # in the order of the enumeration, as a frozenset has none
        after = [str(each) for each in type(state) if each in targets]
        if after:
            lines.append(f"{state} → {', '.join(after)}")
    return "<br>".join(lines)


def held(thing: type[Any]) -> str:
    """Checks and unique indexes of a table, by name; that a state is a known one is always held."""
    sql_table = thing.__table__
    assert isinstance(sql_table, Table)
    checks = [
        str(each.name)
        for each in sql_table.constraints
        if isinstance(each, CheckConstraint) and not str(each.name).endswith(KNOWN_VALUES)
    ]
    unique = [
        str(each.name) for each in sql_table.indexes if isinstance(each, Index) and each.unique
    ]
    return ", ".join(f"`{name}`" for name in sorted(checks) + sorted(unique))


KNOWN_VALUES = ("_state", "_kind")
