"""What models have seen of a slide, for those higher in the house that follow it."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class PredictionFinished(Fact):
    """A model version has seen the whole of a slide."""

    slide_id: str
    model_version_id: str
