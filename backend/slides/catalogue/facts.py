"""What is asked of a slide that only those who work on it know."""

from dataclasses import dataclass

from backend.kit.contract import Failure
from backend.kit.facts import Question


@dataclass(frozen=True)
class WhyUnseen(Question[dict[str, Failure]]):
    """Why have slides no proposals that should have some? Answered by slide."""

    slide_ids: tuple[str, ...]


@dataclass(frozen=True)
class ReadInStudy(Question[bool]):
    """Do people's readings rest on patches of this slide, or will they?"""

    slide_id: str
