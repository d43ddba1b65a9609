"""Which measured cell each of a report's frozen decisions is about, and what became of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backend.her2.scores import decisions
from backend.her2.scores.cells import nearest
from backend.her2.scores.decisions import FrozenDecision
from backend.her2.scores.tables import CellAction
from backend.kit.storage.blobs import Blobs
from models.canonical import canonical
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from worker.her2.document import CellEdit


class Fate(StrEnum):
    APPLIED = "applied"
    TAKEN_BACK = "taken_back"
    REPLACED = "replaced"
    NO_CELL = "no_cell"


@dataclass(frozen=True)
class Placed:
    """A decision with the number and the measured class of its cell; None: there is none there."""

    decision: FrozenDecision
    cell: int | None
    measured: str | None
    fate: Fate


def placed(
    cells: Cells, inputs: Mapping[str, Any], blobs: Blobs, judged: Collection[int] = ()
) -> list[Placed]:
    """Return the frozen decisions in their order; of two on one cell the later counts.

    judged: cells that were decided on in the report itself, which goes before.
    """
    if "decisions" not in inputs:
        # asked for before cells could be decided on outside a report
        return []
    frozen = decisions.read(blobs.read(inputs["decisions"]["sha256"]))
    numbers = nearest(cells.x, cells.y, cells.mpp, frozen)
    last = {number: place for place, number in enumerate(numbers)}
    decided = []
    for place, (each, number) in enumerate(zip(frozen, numbers, strict=True)):
        if number is None:
            decided.append(Placed(each, None, None, Fate.NO_CELL))
            continue
        fate = Fate.APPLIED
        if last[number] != place or number in judged:
            fate = Fate.REPLACED
        elif each.action == CellAction.INCLUDE:
            fate = Fate.TAKEN_BACK
        decided.append(Placed(each, number, CLASSES[cells.label[number]], fate))
    return decided


def edits(decided: Iterable[Placed]) -> list[CellEdit]:
    """Return what counts, in the order of the cells."""
    applied = {
        each.cell: each.decision.label
        for each in decided
        if each.fate == Fate.APPLIED and each.cell is not None
    }
    return [CellEdit(cell, applied[cell]) for cell in sorted(applied)]


def summary(decided: Sequence[Placed]) -> dict[str, int]:
    """Count what became of the decisions; one that took others back is no change of a cell."""
    changing = [each for each in decided if each.decision.action != CellAction.INCLUDE]
    return {
        "on_the_slide": len(changing),
        "applied": sum(each.fate == Fate.APPLIED for each in changing),
        "without_cell": sum(each.fate == Fate.NO_CELL for each in changing),
    }


def evidence(decided: Iterable[Placed]) -> bytes:
    """Write every decision with its cell, as canonical JSON."""
    rows = [
        {
            "cell": each.cell,
            "measured": each.measured,
            "fate": str(each.fate),
            "number": each.decision.number,
            "x": each.decision.x,
            "y": each.decision.y,
            "action": str(each.decision.action),
            "class": each.decision.label,
            "by": each.decision.by,
            "at": each.decision.at,
            "reason": each.decision.reason,
        }
        for each in decided
    ]
    return canonical({"decisions": rows})
