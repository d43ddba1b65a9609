"""What happens to people's masks, for those higher in the house that follow it."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class MaskSaved(Fact):
    """A person's mask of a patch has a new revision, and it is complete, or was until now.

    What is painted in part counts for nothing yet, so that nobody has to follow it.
    """

    slide_id: str
    patch_id: str
    revision: int
