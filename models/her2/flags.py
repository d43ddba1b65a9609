"""What may be wrong with a score, and how much it matters (her2.md §3.9).

Fatal: there is no score. Limiting: some categories cannot be told apart. Warning: the score stands
and the reader is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

FATAL = ("no_tumour_region", "mpp_missing", "fluorescence", "colour", "control_failed")
FATAL_BY_COUNT = "too_few_cells"
LIMITING = ("resolution",)
WARNINGS = (
    "whole_as_tumour",
    "below_detection_limit",
    "intense_below_detection",
    "gap_pattern",
    "borderline",
    "uncalibrated",
    "calibration_detector",
    "cells_100_500",
    "tiles_lt_30",
    "not_contiguous",
    "clustered_heterogeneity",
    "intense_below_cut",
    "control_missing",
    "antibody_missing",
    "out_of_focus",
    "stain_residual",
    "white_point",
    "cytoplasm",
    "cytoplasm_obscures",
    "nuclear_brown",
    "edge_effect",
    "nuclei_density",
    "mask_uncertain",
    "thresholds_changed",
)

SEVERITY = MappingProxyType(
    {
        **dict.fromkeys((*FATAL, FATAL_BY_COUNT), "fatal"),
        **dict.fromkeys(LIMITING, "limiting"),
        **dict.fromkeys(WARNINGS, "warning"),
    }
)
_ORDER = tuple(SEVERITY)


@dataclass(frozen=True)
class Flag:
    """One remark. Raises ValueError for a code that SEVERITY does not know."""

    code: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.code not in SEVERITY:
            raise ValueError(f"no flag {self.code!r}; models/her2/flags.py lists them")

    @property
    def severity(self) -> str:
        return SEVERITY[self.code]

    def document(self) -> dict[str, str]:
        return {"code": self.code, "severity": self.severity, "detail": self.detail}


def ordered(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Each code once (the first that says anything wins), the gravest first."""
    once: dict[str, Flag] = {}
    for flag in flags:
        if not once.setdefault(flag.code, flag).detail:
            once[flag.code] = flag
    return tuple(sorted(once.values(), key=lambda flag: _ORDER.index(flag.code)))
