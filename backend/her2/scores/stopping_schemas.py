"""The rule to stop and the log of a score as the contract shows them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from backend.her2.scores.document import Category
from backend.kit.contract import FULL, Shown


class StopOut(BaseModel):
    """The rule that says when to stop.

    places_left: patches whose review could change the category, the first matters most; once they
    have been reviewed none can, with the confidence `enough`, if they come out as they are counted
    now (`after_them`). could_become: categories of at least 1 % chance.
    """

    model_config = FULL

    met: bool
    confidence: float | None
    enough: float
    after_them: float | None
    places_left: list[str]
    could_become: list[Annotated[str, Shown(Category)]]
    text: str

    @classmethod
    def of(cls, stop: Mapping[str, Any], places: Mapping[tuple[int, int], str]) -> "StopOut":
        """Name the places by their patches; one that has lost its patch is not named."""
        in_order = ((row, column) for row, column in stop["places"])
        return cls(
            met=stop["met"],
            confidence=stop["confidence"],
            enough=stop["enough"],
            after_them=stop["after_them"],
            places_left=[places[place] for place in in_order if place in places],
            could_become=stop["could_become"],
            text=stop["text"],
        )


class ScoreStepOut(BaseModel):
    """A computed score: what had changed, the rules, and what the slide counted as."""

    number: int
    at: datetime
    revision: int
    changes: dict[str, Any]
    rules: dict[str, Any]
    outcome: dict[str, Any]


class ScoreLogOut(BaseModel):
    """schema: membrana.score-log/1."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: str = Field(alias="schema")
    research_use_only: str
    slide: dict[str, str]
    steps: list[ScoreStepOut]
