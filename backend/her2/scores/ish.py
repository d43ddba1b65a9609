"""In situ hybridisation as a person entered it: checked against itself, never concluded from."""

from dataclasses import asdict, dataclass
from typing import Any

from backend.kit.db.base import now
from backend.kit.errors import Unprocessable
from backend.people.users.tables import User

DUAL, SINGLE = "dual probe", "single probe"


class IshContradicts(Unprocessable):
    code, title = "ish_contradicts", "The hybridisation's numbers contradict each other"


@dataclass(frozen=True)
class Ish:
    """A result. copies: of HER2 a nucleus. ratio: to the centromere of chromosome 17."""

    method: str
    result: str
    read_by: str
    group: int | None = None
    copies: float | None = None
    ratio: float | None = None
    cells: int | None = None

    def checked(self) -> "Ish":
        """Raise IshContradicts unless method, numbers and group go together."""
        if self.method == SINGLE and (self.group is not None or self.ratio is not None):
            raise IshContradicts("Ratio and group are of a dual probe; a single one has neither.")
        if self.group and self.ratio and self.copies:
            group = group_of(self.ratio, self.copies)
            if group != self.group:
                raise IshContradicts(
                    f"A ratio of {self.ratio:g} and {self.copies:g} copies a nucleus are group "
                    f"{group}, not {self.group}."
                )
        return self

    def entered(self, by: User) -> dict[str, Any]:
        """Return what a report keeps, with who entered it and when."""
        at = now().replace(microsecond=0).isoformat()
        return asdict(self) | {"entered_by": {"id": by.id, "name": by.name}, "entered_at": at}


def group_of(ratio: float, copies: float) -> int:
    """Return the group, 1 to 5, of a dual probe's numbers (ASCO-CAP 2018)."""
    if ratio >= 2.0:
        return 1 if copies >= 4.0 else 2
    if copies >= 6.0:
        return 3
    return 4 if copies >= 4.0 else 5
