"""What statistics ask of those above learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.kit.facts import Question


@dataclass(frozen=True)
class SignedReports:
    """How many reports a person has signed of a slide, and in how many with another category."""

    signer_id: str
    slide_id: str
    signed: int
    overridden: int


@dataclass(frozen=True)
class ReportsSigned(Question[Sequence[SignedReports]]):
    """Which signed reports there are of a slide (None: of all), signed in [since, until)."""

    slide_id: str | None
    since: datetime | None
    until: datetime | None
