"""The figures of a set of patches, by the policy of eugmt.md §6.3.

Overlap: pooled over all pixels, as the mean of patches (both empty 1, one empty 0), and as the
mean of groups, each pooled. Distances, clDice and boundary F1: means over the patches where both
masks show something; both empty: left out and counted; one empty: left out of the mean, counted,
and in a second mean with the patch's diagonal (distances) or 0 (shares). Pixels to ignore are
cleared in both masks; a patch, or group, with no other pixel is in no mean and counted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.metrics.counts import IGNORE, Counts, compare
from models.metrics.surface import between, boundary_f1, summarised
from models.metrics.thin import cl_dice

TOLERANCE_PX = 2.0
LENGTHS = ("asd", "assd", "hd", "hd95")
SHARES = ("cl_dice", "boundary_f1")


@dataclass(frozen=True)
class Shape:
    """Figures of one patch in which both masks show something; lengths in px."""

    asd: float
    assd: float
    hd: float
    hd95: float
    cl_dice: float
    boundary_f1: float


@dataclass(frozen=True)
class Evaluation:
    """Counts and shapes of each patch: everything else follows from them.

    shapes: None where a mask is empty. diagonal: of a patch, px. mpp: µm per px, if known.
    unknown: patches of which nothing is known, and which are in none of the others.
    """

    groups: tuple[str, ...]
    counts: tuple[Counts, ...]
    shapes: tuple[Shape | None, ...]
    diagonal: float
    mpp: float | None = None
    unknown: int = 0

    def document(self) -> dict[str, Any]:
        """Return all figures as JSON types."""
        names = sorted(set(self.groups))
        by_group = {name: self.pooled(name) for name in names}
        return {
            "patches": len(self.counts) + self.unknown,
            "unknown": self.unknown,
            "pooled": overlap(self.pooled()),
            "per_patch": {"n": len(self.counts), **means([overlap(each) for each in self.counts])},
            "per_group": {"n": len(names), **means([overlap(each) for each in by_group.values()])},
            "groups": {name: overlap(each) for name, each in by_group.items()},
            "shape": self.shape(),
        }

    def pooled(self, group: str | None = None) -> Counts:
        chosen = [
            counts
            for counts, name in zip(self.counts, self.groups, strict=True)
            if group in (None, name)
        ]
        return sum(chosen, Counts())

    def shape(self) -> dict[str, Any]:
        """Distances and line figures: means, what was left out, and the means with penalties."""
        known = [asdict(shape) for shape in self.shapes if shape is not None]
        absent = [
            counts.true_positive + counts.false_positive + counts.false_negative > 0
            for counts, shape in zip(self.counts, self.shapes, strict=True)
            if shape is None
        ]
        one_empty = sum(absent)
        penalty = dict.fromkeys(LENGTHS, self.diagonal) | dict.fromkeys(SHARES, 0.0)
        summary: dict[str, Any] = {
            "n": len(known),
            "both_empty": len(absent) - one_empty,
            "one_empty": one_empty,
            "tolerance_px": TOLERANCE_PX,
            "mean": means(known) if known else None,
            "with_penalty": means(known + [penalty] * one_empty) if known or one_empty else None,
        }
        if self.mpp is not None and known:
            summary["mean_um"] = {name: summary["mean"][name] * self.mpp for name in LENGTHS}
        return summary


def evaluate(
    proposals: npt.NDArray[np.bool_],
    masks: npt.NDArray[np.uint8],
    groups: Sequence[str],
    *,
    mpp: float | None = None,
) -> Evaluation:
    """Judge proposals (N, H, W) by masks (N, H, W) of 0, 127 (ignore) and 255.

    groups: the patient or slide of each patch. mpp: µm per px, for lengths in µm as well. Raises
    ValueError if no mask has a pixel that is known.
    """
    judged, counts, shapes = [], [], []
    for proposal, mask, group in zip(proposals, masks, groups, strict=True):
        known = mask != IGNORE
        if known.any():
            judged.append(group)
            counts.append(compare(proposal, mask))
            shapes.append(shape_of(proposal & known, mask > IGNORE))
    if not judged:
        raise ValueError("no pixel is known: there is nothing to judge by")
    return Evaluation(
        tuple(judged),
        tuple(counts),
        tuple(shapes),
        float(np.hypot(*masks.shape[1:])),
        mpp,
        len(masks) - len(judged),
    )


def shape_of(proposal: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Shape | None:
    """Return a patch's distances and line figures; None if a mask is empty."""
    if not proposal.any() or not truth.any():
        return None
    forth, back = between(proposal, truth)
    return Shape(
        **asdict(summarised(forth, back)),
        cl_dice=cl_dice(proposal, truth),
        boundary_f1=boundary_f1(forth, back, TOLERANCE_PX),
    )


def overlap(counts: Counts) -> dict[str, float]:
    """Return Dice, IoU, precision and recall; nothing proposed where there is nothing is 1."""
    # of one empty mask, `ratio` would call what it can't see perfect
    missed = counts.true_positive == 0 and counts.false_positive + counts.false_negative > 0
    return {
        "dice": counts.dice,
        "iou": counts.iou,
        "precision": 0.0 if missed else counts.precision,
        "recall": 0.0 if missed else counts.recall,
    }


def means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
