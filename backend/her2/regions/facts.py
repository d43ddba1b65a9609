"""What changes of a slide's regions, for whoever counts cells in them."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class RegionsChanged(Fact):
    """The regions of a slide have a new revision."""

    slide_id: str
    revision: int
