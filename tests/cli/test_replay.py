"""`membrana report replay FILE`: each category decided anew from a log, without a service."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.her2.scores import log
from models.her2.classes import CLASSES
from models.her2.protocols import load
from models.her2.slide_score import summarise
from tests.cli.conftest import Membrana, Outcome
from tests.models.her2.tables import table

STOP = {
    "met": False,
    "confidence": 0.8,
    "after_them": 0.96,
    "could_become": ["1+"],
    "places_left": 3,
}
NOTHING = dict.fromkeys(("regions", "decisions", "prediction", "rules"), False)


def step(number: int, counts: list[int], protocol: Any, **changes: Any) -> dict[str, Any]:
    document = summarise(table([counts]), protocol)
    document["stop"] = STOP
    return {
        "number": number,
        "at": "2026-11-30T12:00:00+00:00",
        "revision": number,
        "changes": {"begins": number == 1, "patches": [], **NOTHING, **changes},
        "rules": log.rules_in(document),
        "outcome": log.outcome_in(document),
    }


def steps() -> list[dict[str, Any]]:
    breast = load("asco_cap_2023_breast")
    merged = load("asco_cap_2023_breast", gap="0+", merge_zero_plus=True)
    return [
        step(1, [880, 120, 0, 0, 0, 0, 0, 0, 0], breast),
        step(2, [940, 60, 0, 0, 0, 0, 0, 0, 0], breast, patches=[[3, 5]]),
        step(3, [940, 0, 0, 0, 60, 0, 0, 0, 0], merged, decisions=True, rules=True),
    ]


def replay(membrana: Membrana, folder: Path, content: str | bytes) -> Outcome:
    file = folder / "log.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return membrana("report", "replay", str(file))


def logged(rows: list[dict[str, Any]]) -> str:
    return json.dumps({"schema": log.SCHEMA, "slide": {}, "steps": rows})


def test_the_category_after_each_correction(membrana: Membrana, tmp_path: Path) -> None:
    answer = replay(membrana, tmp_path, logged(steps()))
    assert answer.code == 0, answer.err
    shown = [json.loads(line) for line in answer.out.splitlines()]
    assert [each["category"] for each in shown] == ["1+", "0+", "0"]
    assert [each["changed"] for each in shown] == [
        ["scoring began"],
        ["patch 3,5"],
        ["decisions", "rules"],
    ]
    assert all(each["as_logged"] for each in shown)


def test_a_category_that_the_counts_do_not_give_is_told(membrana: Membrana, tmp_path: Path) -> None:
    rows = steps()
    rows[1]["outcome"]["counts"] = dict(zip(CLASSES, [0] * 8 + [1000], strict=True))
    answer = replay(membrana, tmp_path, logged(rows))
    assert answer.code == 1
    shown = [json.loads(line) for line in answer.out.splitlines() if line.startswith("{")]
    assert [each["as_logged"] for each in shown[:3]] == [True, False, True]
    assert shown[1]["category"] == "3+"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8 no text",
        "[]",
        "{}",
        '{"schema": "membrana.report/1", "steps": []}',
        json.dumps({"schema": log.SCHEMA, "steps": [{"number": 1}]}),
        json.dumps({"schema": log.SCHEMA, "steps": [7]}),
        json.dumps({"schema": log.SCHEMA, "steps": 7}),
    ],
)
def test_what_is_no_log_is_refused(
    membrana: Membrana, tmp_path: Path, content: str | bytes
) -> None:
    answer = replay(membrana, tmp_path, content)
    assert answer.code != 0
    assert "not_a_score_log" in answer.err


def test_counts_that_are_none_are_refused(membrana: Membrana, tmp_path: Path) -> None:
    for wrong in (-1, "many", None):
        rows = steps()
        rows[0]["outcome"]["counts"]["N"] = wrong
        answer = replay(membrana, tmp_path, logged(rows))
        assert answer.code != 0
        assert "not_a_score_log" in answer.err
