"""What is made: each passage by the name that stands in its markers, and each picture's file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from documents import (
    differences,
    facts,
    her2,
    her2_cells,
    installation,
    learner_tables,
    measured,
    methods_tables,
    rounds,
    starter,
    states,
    stopping_tables,
    storeys,
    training_tables,
)

ROOT = Path(__file__).parents[1]
PICTURES = "docs/pictures"
PASSAGES: Mapping[str, Callable[[], str]] = {
    "ablation": methods_tables.ablation,
    "active-learning": methods_tables.active,
    "against-labels": methods_tables.against_labels,
    "audit": methods_tables.label_audit,
    "before": methods_tables.before,
    "compiled": training_tables.compiled,
    "controls": her2.controls,
    "differences": differences.differences,
    "doubt": learner_tables.doubt,
    "facts": facts.facts,
    "false-cells": her2_cells.false_cells,
    "features": learner_tables.features,
    "finalists": methods_tables.finalists,
    "intervals": training_tables.intervals,
    "judged-cells": her2_cells.judged_cells,
    "longer": methods_tables.longer,
    "kinds-of-round": rounds.kinds,
    "loop": rounds.loop,
    "measured": measured.measured,
    "nuclei": her2.nuclei,
    "nuclei-of-other-stains": her2.other_nuclei,
    "own-slide": methods_tables.own_slide,
    "phantoms": her2.phantoms,
    "phantoms-by-detector": her2.phantoms_by_detector,
    "proposed": her2.proposed,
    "real": her2.real,
    "robustness": her2.robustness,
    "settings": installation.settings,
    "small": methods_tables.small,
    "starter-card": starter.card,
    "starter-detail": starter.in_detail,
    "starter-negatives": starter.negatives,
    "starter-sources": starter.by_source,
    "states": states.states,
    "students": learner_tables.students,
    "stopping": stopping_tables.stopping,
    "stops": methods_tables.stops,
    "validated": methods_tables.validated,
    "verdict": learner_tables.verdict,
    "views": methods_tables.views,
}
FILES: Mapping[str, Callable[[], str]] = {f"{PICTURES}/storeys.svg": storeys.svg}


def documents() -> list[Path]:
    """Return the files whose passages are made."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
