"""Statistics as the contract shows them."""

from pydantic import BaseModel, Field

from backend.kit.contract import OF_ROW
from backend.learning.statistics.service import Group, Statistics


class Figures(BaseModel):
    """Rates are null where there is nothing to rate; what is counted stands in `Sums`.

    `minutes_per_patch`: of active work, over the masks with a time. `acceptance_rate`: of the masks
    begun from a proposal, those left as proposed. `edited_membrane_share`: pixels that differ from
    the proposal, of those that are membrane in either (1 - IoU); `edited_pixel_share`: of all that
    was looked at. `override_rate`: masks with more that differs than agrees.
    `category_override_rate`: of signed reports, those signed with another category than computed.
    """

    model_config = OF_ROW

    patches: int = Field(
        description="Patches times people: the newest mask of each counts, once it is complete."
    )
    painted_in_part: int = Field(
        description="The same, with pixels that nobody has said to have looked at: only the time."
    )
    revisions: int
    seconds: float
    timed: int
    assisted: int
    accepted: int
    compared: int
    overridden: int
    differing_px: int
    membrane_px: int
    signed: int
    category_overridden: int
    minutes_per_patch: float | None
    acceptance_rate: float | None
    edited_pixel_share: float | None
    edited_membrane_share: float | None
    override_rate: float | None
    category_override_rate: float | None


class GroupOut(BaseModel):
    """id: of a reader, slide or round; null where there is none (see `name`)."""

    id: str | None
    name: str
    figures: Figures

    @classmethod
    def of(cls, group: Group) -> "GroupOut":
        return cls(id=group.id, name=group.name, figures=Figures.model_validate(group.sums))


class AnnotationStatistics(BaseModel):
    """`by_reader` holds everybody for administrators, and for others themselves alone.

    `by_round` is the learning curve: the work by the model whose proposals were shown.
    """

    overall: Figures
    by_reader: list[GroupOut]
    by_round: list[GroupOut]
    by_slide: list[GroupOut]
    by_mode: list[GroupOut]

    @classmethod
    def of(cls, statistics: Statistics) -> "AnnotationStatistics":
        return cls(
            overall=Figures.model_validate(statistics.overall),
            by_reader=[GroupOut.of(each) for each in statistics.readers],
            by_round=[GroupOut.of(each) for each in statistics.rounds],
            by_slide=[GroupOut.of(each) for each in statistics.slides],
            by_mode=[GroupOut.of(each) for each in statistics.modes],
        )
