"""The score document as its readers rely on it: schema "membrana.her2/2" of models/her2."""

from typing import Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

Category = Literal["0", "0+", "1+", "2+", "3+", "not assessable"]
Gap = Literal["0+", "1+", "2+"]
CellClass = Literal["N", "FP", "FC", "WP", "WC", "MP", "MC", "IP", "IC"]


class Open(TypedDict):
    """May say more than is named."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]


class Estimate(Open):
    """A value with its 95 % interval; null where there is no cell."""

    value: float | None
    low: float | None
    high: float | None


class Flag(Open):
    code: str
    severity: Literal["fatal", "limiting", "warning"]
    detail: str


class Distance(Open):
    """How far a test of the decision table is from turning over."""

    test: str
    score: str
    percent_now: float
    threshold: float
    passed: bool
    cells_now: int
    cells_needed: int
    cells_to_flip: int


class Calibration(Open):
    on: str


class Cuts(Open):
    """What decides the class of a cell; the first four in log10 optical density."""

    t_faint: float
    t_weak: float
    t_moderate: float
    t_intense: float
    c_any: float
    c_full: float


class ScoreProtocol(Open):
    name: str
    version: str
    title: str
    gap: Gap | None
    calibrated: Calibration | None
    thresholds: Cuts


class CellCounts(TypedDict):
    N: int
    FP: int
    FC: int
    WP: int
    WC: int
    MP: int
    MC: int
    IP: int
    IC: int


class StopInterval(TypedDict):
    """Share of a test's cells in % once all is reviewed: 95 %."""

    test: str
    low: float
    high: float


class StopRule(Open):
    """When the category stands. places: [row, column] of the grid, the first matters most.

    confidence, after_them: null where there is no category; after_them is what is expected once
    the places have been reviewed and nothing there has changed.
    """

    met: bool
    confidence: float | None
    enough: float
    after_them: float | None
    could_become: list[Category]
    chances: dict[str, float]
    intervals: list[StopInterval]
    places: list[tuple[int, int]]
    places_left: int
    places_reviewed: int
    learned_from: int
    text: str


class ScoreDocument(Open):
    protocol: ScoreProtocol
    score: Category
    reason: str
    reason_text: str
    printed_score: str
    ish_required: bool
    flags: list[Flag]
    cells: int
    tiles: int
    counts: CellCounts
    percent: dict[str, Estimate]
    probability: dict[str, float]
    distance: list[Distance]
    h_score: Estimate
    evaluated_area_mm2: NotRequired[float]
    """Of tissue; what an earlier version computed has none."""
    stop: NotRequired[StopRule]
    """What an earlier version computed has none."""
    reviewed_share: float | None
    edited_cells: int | None


class EnteredBy(TypedDict):
    id: str
    name: str


class EnteredIsh(TypedDict):
    """In situ hybridisation as a person read it. copies: of HER2 a nucleus."""

    method: str
    result: str
    read_by: str
    group: int | None
    copies: float | None
    ratio: float | None
    cells: int | None
    entered_by: EnteredBy
    entered_at: str


class SlideLabels(Open):
    """What a slide is called."""

    name: NotRequired[str]
    case_id: str | None
    block: NotRequired[str | None]


class ReviewExtent(TypedDict):
    """What people have reviewed of a report here."""

    patches: int
    cell_decisions: int
    anything: bool


class ReportInputs(Open):
    """What a report is computed from."""

    protocol: str
    gap: NotRequired[Gap | None]
    merge_zero_plus: NotRequired[bool]


class Assay(Open):
    """What was stained and how, as far as somebody said so."""

    cytoplasm_obscures: NotRequired[bool]
