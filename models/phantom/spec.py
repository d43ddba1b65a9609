"""What a phantom is asked to be, and the HER2 score its cells add up to."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from models.canonical import canonical

CLASSES = ("N", "FP", "FC", "WP", "WC", "MP", "MC", "IP", "IC")
"""her2.md §1.5: none, then faint/weak/moderate/intense × partial/complete."""

MIXES: Mapping[str, tuple[float, ...]] = {
    "0": (1.0, 0, 0, 0, 0, 0, 0, 0, 0),
    "0+": (0.93, 0.06, 0, 0.01, 0, 0, 0, 0, 0),
    "1+": (0.45, 0.38, 0.04, 0.11, 0.02, 0, 0, 0, 0),
    "2+": (0.15, 0.17, 0.05, 0.16, 0.20, 0.08, 0.15, 0.01, 0.03),
    "3+": (0.03, 0.04, 0.01, 0.05, 0.07, 0.06, 0.17, 0.09, 0.48),
}
"""Shares of CLASSES asked of a slide, by score; the truth counts what was drawn."""


@dataclass(frozen=True)
class PhantomSpec:
    """One synthetic slide. Sizes in level-0 px, lengths in µm, strengths 0 (none) to 1 (much)."""

    width: int = 4096
    height: int = 4096
    mpp: float = 0.25
    seed: int = 0
    her2: str = "2+"
    mix: tuple[float, ...] | None = None
    """Shares of CLASSES instead of those of `her2`: control tissue, pure fields."""
    cell_um: float = 13.0
    tumour: float = 0.6
    """Share of the tissue that is tumour."""
    outline: bool = True
    """Tissue lies on glass with a margin; False fills the picture with tissue."""
    cytoplasm: float = 0.5
    stroma: float = 0.5
    brown_nuclei: float = 0.15
    """Share of tumour nuclei with a brown nuclear stain."""
    broken: float = 0.5
    stain_variation: float = 0.5
    blur_um: float = 0.25
    noise: float = 1.8
    """Standard deviation of the camera's noise in grey levels."""
    jpeg_quality: int = 85
    edge_artefact: float = 0.5
    pen: bool = False
    dust: float = 0.3
    out_of_focus: float = 0.3

    def __post_init__(self) -> None:
        if self.her2 not in MIXES:
            raise ValueError(f"her2 must be one of {', '.join(MIXES)}, got {self.her2!r}")
        if self.mix is not None and (
            len(self.mix) != len(CLASSES) or min(self.mix) < 0 or abs(sum(self.mix) - 1) > 1e-6
        ):
            raise ValueError(f"mix must be {len(CLASSES)} shares that add up to 1, got {self.mix}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"width and height must be positive, got {self.width}×{self.height}")
        if not 0.1 <= self.mpp <= 2.0:
            raise ValueError(f"mpp must lie in 0.1–2.0 µm per pixel, got {self.mpp}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must lie in 1–100, got {self.jpeg_quality}")

    def canonical_json(self) -> bytes:
        """Sorted, compact JSON: the same spec has the same bytes."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return canonical(fields)

    @property
    def shares(self) -> tuple[float, ...]:
        return MIXES[self.her2] if self.mix is None else self.mix

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.canonical_json()).hexdigest()


def score(counts: Mapping[str, int]) -> tuple[str, str]:
    """Score nine class counts by ASCO-CAP 2023 (her2.md §1.5, gap policy 1+): (score, reason)."""
    n = sum(counts.values())
    if n < 100:
        return "NA", "too_few_cells"

    def over(k: int) -> bool:
        return 100 * k > 10 * n

    def above_floor(k: int) -> bool:
        return k >= 5 and 1000 * k >= 10 * n

    intense = counts["IC"]
    complete = intense + counts["WC"] + counts["MC"]
    strong = complete + counts["MP"] + counts["IP"]
    stained = n - counts["N"]
    rows = (
        (over(intense), "3+", "intense_complete_gt10"),
        (over(complete), "2+", "weak_moderate_complete_gt10"),
        (over(strong), "2+", "moderate_intense_incomplete_gt10"),
        (above_floor(intense), "2+", "intense_complete_le10"),
        (over(stained), "1+", "faint_incomplete_gt10"),
        (above_floor(strong), "1+", "gap_pattern"),
        (above_floor(stained), "0+", "faint_incomplete_le10"),
        (stained > 0, "0", "below_detection_limit"),
    )
    for holds, name, reason in rows:
        if holds:
            return name, reason
    return "0", "no_staining"
