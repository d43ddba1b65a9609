"""What people ask of the queue that only others can say yes to."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class InfluenceWanted(Fact):
    """Somebody wants first what could change a slide's category; of any slide, if none is named.

    Who computes how much a patch could change refuses where nothing was computed yet.
    """

    slide_id: str | None
