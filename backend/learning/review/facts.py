"""What a second person's verdict on a mask changes, for those higher in the house."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class MaskReviewed(Fact):
    """A mask was approved, or returned: one that was returned counts no more."""

    slide_id: str
    patch_id: str
