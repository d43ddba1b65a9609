"""What happens to people's masks, for those higher in the house that follow it."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class MaskSaved(Fact):
    """A person's mask of a patch has a new revision."""

    slide_id: str
    patch_id: str
    revision: int
