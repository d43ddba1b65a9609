"""`membrana report replay FILE`: the category after each correction, decided anew from the log.

Needs no service: a step's counts go through the protocol's own table, with the gap policy and the
detection floor that the log names. What comes out is held against what was logged.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from backend.her2.scores.log import SCHEMA
from models.her2.classes import CLASSES
from models.her2.decision import decide
from models.her2.protocols import ProtocolError, load
from worker.commands.options import Refused

Step = Mapping[str, Any]


def steps_in(content: bytes) -> list[Step]:
    """Return the steps of a log. Raise Refused if it is none."""
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise not_a_log(f"it is {document['schema']!r}, not {SCHEMA!r}")
        return list(document["steps"])
    except ValueError as error:
        raise not_a_log("it is no JSON, or it is cut off") from error
    except (KeyError, TypeError) as error:
        raise not_a_log("it has no schema and no steps") from error


def replayed(steps: list[Step]) -> Iterator[dict[str, Any]]:
    """Decide each step anew. Raise Refused for one that can't be read."""
    for number, step in enumerate(steps, start=1):
        try:
            yield shown(step)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise not_a_log(f"step {number} of it can't be read: {error}") from error


def shown(step: Step) -> dict[str, Any]:
    rules, outcome = step["rules"], step["outcome"]
    protocol = load(rules["protocol"], gap=rules["gap"], merge_zero_plus=rules["merge_zero_plus"])
    if protocol.version != rules["version"]:
        raise ProtocolError(
            f"it was scored by version {rules['version']} of {protocol.name}, here is "
            f"{protocol.version}"
        )
    permille = round(10 * rules["floor_percent"])
    protocol = replace(protocol, floor_permille=permille, floor_cells=rules["floor_cells"])
    counts = [outcome["counts"][name] for name in CLASSES]
    verdict = decide(counts, protocol, barred=rules["flags"], clustered=rules["clustered"] or None)
    stop = outcome["stop"]
    return {
        "step": step["number"],
        "at": step["at"],
        "changed": list(words_of(step["changes"])),
        "category": verdict.printed(protocol),
        "reason": verdict.reason,
        "cells": outcome["cells"],
        "stop": "met" if stop["met"] else "not met",
        "confidence": stop["confidence"],
        "places_left": stop["places_left"],
        "as_logged": (verdict.score, verdict.reason) == (outcome["score"], outcome["reason"]),
    }


def words_of(changes: Mapping[str, Any]) -> Iterator[str]:
    """Say what had changed since the step before."""
    if changes["begins"]:
        yield "scoring began"
    yield from (f"patch {row},{column}" for row, column in changes["patches"])
    if not changes["begins"]:
        yield from (
            name for name in ("regions", "decisions", "prediction", "rules") if changes[name]
        )


def not_a_log(why: str) -> Refused:
    return Refused(f"The file is no log of a score: {why}.", code="not_a_score_log")
