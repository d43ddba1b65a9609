"""That something was announced: whoever passes news on follows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.kit.facts import Fact


@dataclass(frozen=True)
class Announced(Fact):
    """What people's pages are told: of a topic, (subject's id, what is said of it) each."""

    topic: str
    subjects: Sequence[tuple[str, dict[str, Any]]]
