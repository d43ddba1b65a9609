"""The log of a slide's score: what changed, and what the slide counted as after it.

A step is a computed score. Corrections that were saved while another was computed share a step.
Counts and rules stand beside the category, so that `membrana report replay` decides each anew.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.her2.scores.tables import ScoreStep
from backend.kit.db.base import now
from backend.kit.product import RESEARCH_USE_ONLY
from backend.kit.storage.blobs import Blobs
from backend.slides.catalogue import service as slides

SCHEMA = "membrana.score-log/1"
PLAIN = ("protocol", "gap", "calibration_sha256", "merge_zero_plus")
"""Inputs that are rules."""
CUTS = ("t_faint", "t_weak", "t_moderate", "t_intense", "c_any", "c_full")

Inputs = Mapping[str, Any]


def changes(before: Inputs | None, after: Inputs, blobs: Blobs) -> dict[str, Any]:
    """Say what differs between two scores' inputs; before: None where there was none.

    patches: [row, column] of those whose accepted mask is another, or is not there any more.
    """
    masks = masks_of(after, blobs)
    known = masks_of(before, blobs) if before else {}
    patches = sorted(place for place in {*masks, *known} if masks.get(place) != known.get(place))
    before = before or {}
    return {
        "begins": not before,
        "patches": [list(place) for place in patches],
        "regions": different("regions", before, after),
        "decisions": different("decisions", before, after),
        "prediction": before.get("model") != after["model"],
        "rules": any(before.get(name) != after.get(name) for name in PLAIN),
    }


def different(name: str, before: Inputs, after: Inputs) -> bool:
    return bool((before.get(name) or {}).get("sha256") != after[name]["sha256"])


def masks_of(inputs: Inputs, blobs: Blobs) -> dict[tuple[int, int], str]:
    rows = json.loads(blobs.read(inputs["masks"]["sha256"]))
    return {(row, column): sha256 for row, column, sha256 in rows}


def append(
    session: Session,
    slide_id: str,
    revision: int,
    changed: Mapping[str, Any],
    document: Mapping[str, Any],
) -> None:
    """Write the next step of a slide, whose score's row is held."""
    newest = session.scalar(
        select(ScoreStep)
        .where(ScoreStep.slide_id == slide_id)
        .order_by(ScoreStep.number.desc())
        .limit(1)
    )
    rules = rules_in(document)
    # a what-if's thresholds are none of the inputs
    otherwise = newest is not None and newest.rules["thresholds"] != rules["thresholds"]
    session.add(
        ScoreStep(
            slide_id=slide_id,
            number=(newest.number if newest else 0) + 1,
            at=now(),
            revision=revision,
            changes={**changed, "rules": changed["rules"] or otherwise},
            rules=rules,
            outcome=outcome_in(document),
        )
    )
    session.flush()


def rules_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a score document says of how counts become a category."""
    protocol = document["protocol"]
    thresholds = protocol["thresholds"]
    return {
        "protocol": protocol["name"],
        "version": protocol["version"],
        "gap": protocol["gap"],
        "merge_zero_plus": protocol["merge_zero_plus"],
        "thresholds": {name: thresholds[name] for name in CUTS},
        "floor_percent": thresholds["floor_percent"],
        "floor_cells": thresholds["floor_cells"],
        "flags": [flag["code"] for flag in document["flags"] if flag["severity"] != "warning"],
        "clustered": [
            test["cells_now"] for test in document["distance"] if test["test"].endswith("_cluster")
        ],
    }


def outcome_in(document: Mapping[str, Any]) -> dict[str, Any]:
    stop = document["stop"]
    return {
        "cells": document["cells"],
        "counts": document["counts"],
        "score": document["score"],
        "printed_score": document["printed_score"],
        "reason": document["reason"],
        "stop": {
            name: stop[name]
            for name in ("met", "confidence", "after_them", "could_become", "places_left")
        },
    }


def document(session: Session, slide_id: str, until: datetime | None = None) -> dict[str, Any]:
    """Return the log of a slide as it is exported; until: of steps up to then."""
    slide = slides.get(session, slide_id)
    steps = select(ScoreStep).where(ScoreStep.slide_id == slide_id).order_by(ScoreStep.number)
    if until is not None:
        steps = steps.where(ScoreStep.at <= until)
    return {
        "schema": SCHEMA,
        "research_use_only": RESEARCH_USE_ONLY,
        "slide": {"id": slide.id, "sha256": slide.sha256},
        "steps": [
            {
                "number": step.number,
                "at": step.at.isoformat().replace("+00:00", "Z"),
                "revision": step.revision,
                "changes": step.changes,
                "rules": step.rules,
                "outcome": step.outcome,
            }
            for step in session.scalars(steps)
        ],
    }
