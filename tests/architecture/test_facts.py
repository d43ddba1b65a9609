"""Who follows what happens below hears of it in every process that writes."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from backend import wiring
from backend.her2.regions.facts import RegionsChanged
from backend.kit import facts
from backend.kit.events.facts import Announced
from backend.kit.facts import Fact, Question
from backend.learning.annotations.facts import MaskSaved
from backend.learning.model_versions.facts import ModelActivated
from backend.learning.predictions.facts import PredictionFinished
from backend.learning.queue.facts import InfluenceWanted
from backend.learning.review.facts import MaskReviewed
from backend.learning.statistics.facts import ReportsSigned
from backend.settings import Settings
from backend.slides.catalogue.facts import ReadInStudy, WhyUnseen

ROOT = Path(__file__).parents[2]
FOLLOWED = {
    MaskSaved: [
        "backend.her2.scores.changes.follow",
        "backend.learning.rounds.service.after_mask",
    ],
    Announced: [
        "backend.learning.studies.service.keep_blind",
        "backend.exchange.webhooks.service.follow",
    ],
    MaskReviewed: ["backend.her2.scores.changes.follow"],
    PredictionFinished: ["backend.her2.scores.changes.follow"],
    RegionsChanged: ["backend.her2.scores.changes.follow"],
    ModelActivated: ["backend.learning.predictions.service.predict_again"],
    InfluenceWanted: ["backend.her2.scores.service.require_computed"],
    ReportsSigned: ["backend.her2.reports.overrides.signed_reports"],
    WhyUnseen: ["backend.learning.predictions.failures.why_unseen"],
    ReadInStudy: ["backend.learning.studies.service.is_read"],
}
"""Every fact and question of the house, and who follows or answers it, in this order."""
ANNOUNCED = """
from sqlalchemy.orm import Session
from backend.kit.facts import tell
from backend.learning.annotations.facts import MaskSaved
from backend.settings import get_settings
try:
    tell(Session(), get_settings(), MaskSaved("slide", "patch", 1))
except Exception as error:
    print(type(error).__name__)
"""
LISTENING = """
from backend.kit.facts import listeners
from backend.settings import get_settings
{process}
for fact, functions in listeners().items():
    for each in functions:
        print(fact.__name__, f"{{each.__module__}}.{{each.__name__}}")
"""
PROCESSES = {
    "the API": "from backend.app import create_app; create_app()",
    "a worker's parent": (
        "import worker.app; from worker.reaper import Reaper\n"
        "from backend.kit.db.session import get_database\n"
        "database = get_database(get_settings().sqlalchemy_url)\n"
        "Reaper(database, get_settings(), name='a', queues='cpu')"
    ),
    # nothing is there to claim: it looks for the job and leaves
    "a worker's pool": (
        "import worker.app; from worker.run import run_job\n"
        "from backend.kit.db.migrate import upgrade\n"
        "upgrade(); run_job('none', get_settings())"
    ),
}


def python(program: str, data: Path) -> list[str]:
    """Run a program as a process that has loaded nothing yet; return the lines it says."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"MEMBRANA_DATA": str(data), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def by_name() -> list[str]:
    return sorted(f"{fact.__name__} {each}" for fact, some in FOLLOWED.items() for each in some)


def test_who_follows_which_fact_and_in_which_order() -> None:
    wiring.listen()
    found = {
        fact: [f"{each.__module__}.{each.__name__}" for each in functions]
        for fact, functions in facts.listeners().items()
        if fact.__module__.startswith("backend")
    }
    assert found == FOLLOWED


def test_every_fact_is_followed() -> None:
    """A fact that nobody follows is an event for browsers (`announce`), or nothing at all."""
    all_of_them = (*Fact.__subclasses__(), *Question.__subclasses__())
    told = {fact for fact in all_of_them if fact.__module__.startswith("backend")}
    assert told == set(FOLLOWED)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_every_process_that_writes_loads_the_listeners(process: str, tmp_path: Path) -> None:
    assert sorted(python(LISTENING.format(process=process), tmp_path)) == by_name()


def test_a_process_without_listeners_is_told_so(tmp_path: Path) -> None:
    assert python(ANNOUNCED, tmp_path) == ["NobodyListens"]


def test_every_module_that_listens_is_wired() -> None:
    """A module that marks a function with `@on` or `@on_failure` is one of wiring's."""
    marked = set()
    for path in (ROOT / "backend").rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            for each in getattr(node, "decorator_list", ()):
                called = each.func if isinstance(each, ast.Call) else each
                name = getattr(called, "attr", getattr(called, "id", ""))
                if name in {"on", "on_failure"}:
                    marked.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert marked == {module.__name__ for module in wiring.LISTENERS}


class Happened(Fact):
    """Something, in a test."""


def test_listeners_follow_in_order_and_what_one_raises_ends_the_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []

    def first(session: Session, settings: Settings, fact: Happened) -> None:
        heard.append("first")

    def second(session: Session, settings: Settings, fact: Happened) -> None:
        heard.append("second")
        raise ValueError("no")

    wiring.listen()
    monkeypatch.setattr(facts, "_listeners", defaultdict(list, {Happened: [first, second]}))
    with pytest.raises(ValueError, match="no"):
        facts.tell(Session(), Settings(), Happened())
    assert heard == ["first", "second"]
