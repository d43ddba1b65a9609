"""What the service says of a slide, and what a person may change."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from backend.job_kinds import JobKind
from backend.jobs.tables import JobState
from backend.kit.contract import FULL, Failure
from backend.slides.catalogue.tables import SlideState

FINEST_UM, COARSEST_UM = 0.05, 10.0
"""Pixel sizes of microscopes, µm. Outside lie mistakes of unit and the dpi of office scanners:
1200 dpi is 21 µm, 72 dpi 353 µm."""


def plausible(mpp: float) -> bool:
    return FINEST_UM <= mpp <= COARSEST_UM


def pixel_size(value: float) -> float:
    if not plausible(value):
        msg = (
            f"a microscope's pixel size lies between {FINEST_UM} and {COARSEST_UM} micrometres "
            "(0.25 for a 40× scan, 0.5 for 20×)"
        )
        raise ValueError(msg)
    return value


PixelSize = Annotated[
    float,
    Field(description="Micrometres per level-0 pixel.", allow_inf_nan=False),
    AfterValidator(pixel_size),
]
PLAIN = r"^[^\x00-\x1f\x7f]+$"
"""Text of one line: no control characters, which no label has and PostgreSQL does not keep."""
TRIMMED = StringConstraints(strip_whitespace=True)
Stain = Annotated[str, TRIMMED, Field(min_length=1, max_length=64, pattern=PLAIN)]
CaseId = Annotated[str, TRIMMED, Field(min_length=1, max_length=100, pattern=PLAIN)]


class LiveJob(BaseModel):
    """The job that works on a slide now."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: JobKind
    state: JobState
    progress: float
    message: str


class SlideOut(BaseModel):
    model_config = ConfigDict(**FULL, from_attributes=True)

    id: str
    name: str
    state: SlideState
    stain: str
    case_id: str | None
    block: str | None
    width: int | None
    height: int | None
    mpp: float | None
    mpp_source: str | None
    objective_power: float | None
    vendor: str | None
    sha256: str
    byte_size: int
    patch_count: int
    tissue_fraction: float | None
    white_point: list[float] | None
    qc: list[str]
    problem: Failure | None
    synthetic: bool
    counts_from_bounds: bool = Field(
        description="Places count from the scanned part's corner, as in QuPath; false of slides "
        "that were measured before: theirs count from the canvas' corner."
    )
    created_at: datetime
    annotated_count: int = 0
    patch_counts: dict[str, int] = Field(default_factory=dict)
    job: LiveJob | None = None


class SlideChange(BaseModel):
    """Only what is named changes; null takes a case or a block away."""

    model_config = ConfigDict(extra="forbid")

    mpp: PixelSize | None = None
    case_id: CaseId | None = None
    block: CaseId | None = None
    stain: Stain | None = None
    archived: bool | None = None

    def named(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)
