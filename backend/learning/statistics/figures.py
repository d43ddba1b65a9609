"""The figures of people's work: sums that are kept, and the rates that follow from them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

PATCH_PIXELS = 256 * 256


@dataclass(frozen=True)
class Sums:
    """What is counted of some people's newest masks, each of a patch and a person.

    patches: complete masks; painted_in_part: those in which pixels are left that nobody has said to
    have looked at: they count for nothing else but their time. seconds: of all active work; timed:
    patches with a time. assisted: a proposal was shown and the mask begun from it; accepted: it was
    left as it was, pixel for pixel; overridden: more of the membrane of either differs than agrees
    (intersection over union below one half).
    differing_px, membrane_px: of the assisted ones whose proposal is known.
    """

    patches: int = 0
    painted_in_part: int = 0
    revisions: int = 0
    seconds: float = 0.0
    timed: int = 0
    assisted: int = 0
    accepted: int = 0
    compared: int = 0
    overridden: int = 0
    differing_px: int = 0
    membrane_px: int = 0
    signed: int = 0
    category_overridden: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        mine, theirs = asdict(self), asdict(other)
        return Sums(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def minutes_per_patch(self) -> float | None:
        return share(self.seconds / 60, self.timed)

    @property
    def acceptance_rate(self) -> float | None:
        return share(self.accepted, self.assisted)

    @property
    def override_rate(self) -> float | None:
        return share(self.overridden, self.compared)

    @property
    def edited_pixel_share(self) -> float | None:
        return share(self.differing_px, self.compared * PATCH_PIXELS)

    @property
    def edited_membrane_share(self) -> float | None:
        return share(self.differing_px, self.membrane_px)

    @property
    def category_override_rate(self) -> float | None:
        return share(self.category_overridden, self.signed)


RATES = (
    "minutes_per_patch",
    "acceptance_rate",
    "edited_pixel_share",
    "edited_membrane_share",
    "override_rate",
    "category_override_rate",
)
COLUMNS = (*(each.name for each in fields(Sums)), *RATES)


def share(part: float, whole: float) -> float | None:
    """Return part / whole; None of nothing, which is no rate."""
    return part / whole if whole else None


def total(sums: Iterable[Sums]) -> Sums:
    return sum(sums, Sums())
