"""What people's own masks may have wrong, held against networks that never saw those masks.

Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021) over all pixels of an audit. The
probabilities must be out of fold: a network agrees with the errors that it was trained on. No
torch here; `models.out_of_fold` makes the probabilities.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues

Masks = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]
IGNORE, MEMBRANE = 127, 255
LEAST_SHARE = 0.001
"""A class with a smaller share of the pixels is not judged (eugmt.md §1.4, guards)."""
LEAST_PX = 20
"""A smaller component is not worth a look."""
LEAST_WIDTH = 3
"""px. Along every membrane's edge a few pixels are anybody's guess; an error is wider."""


class IssueKind(StrEnum):
    """`missing`: background that looks like membrane. `surplus`: membrane that does not."""

    MISSING = "missing"
    SURPLUS = "surplus"


@dataclass(frozen=True)
class Component:
    """A connected piece of doubtful pixels of one kind, in px of its patch.

    pixels: bool (height, width), which of its box. core_px: those in the middle of a square of
    LEAST_WIDTH that is all doubtful. score: mean of 1 - the probability of the given label
    (eugmt.md §3.6), 0 to 1.
    weight: what orders components, score x sqrt(core). Average precision over planted errors, mean
    of five audits (seed 0 of `benchmarks.label_issues`, crops of 128 px): 0.55; by the root of
    all its pixels 0.51, by score alone 0.33: specks and thin rims are sure more often than right.
    """

    kind: IssueKind
    row: int
    column: int
    height: int
    width: int
    size_px: int
    core_px: int
    score: float
    pixels: Bool = field(repr=False, compare=False)

    @property
    def weight(self) -> float:
        return self.score * math.sqrt(self.core_px)


@dataclass(frozen=True)
class PatchIssues:
    """What an audit says of one mask. doubtful: bool (H, W); components worst first."""

    doubtful: Bool
    components: tuple[Component, ...]


def find(masks: Masks, probability: Float) -> list[PatchIssues]:
    """Judge masks by out-of-fold probabilities of membrane; one result a mask, in order.

    masks: uint8 (N, H, W) of 0, 127 (not judged) and 255; probability: (N, H, W). All pixels are
    one scope, so the thresholds are those of the whole audit and not of one patch.
    """
    if masks.shape != probability.shape:
        raise ValueError(f"masks {masks.shape} and probability {probability.shape} differ")
    if not np.isfinite(probability).all():
        raise ValueError("probabilities must be finite")
    judged = masks != IGNORE
    doubtful = np.zeros(masks.shape, np.bool_)
    if judged.any():
        doubtful[judged] = doubted(masks[judged] == MEMBRANE, probability[judged])
    return [
        PatchIssues(pixels, components(pixels, mask == MEMBRANE, own))
        for pixels, mask, own in zip(doubtful, masks, probability, strict=True)
    ]


def doubted(labels: Bool, probability: Float) -> Bool:
    """Return the labels that cleanlab finds doubtful, class by class; none where one is too rare.

    The selector's own count of the same (models.semisup.confident) is for the training step and
    every patch of a slide, where speed decides; an audit is run once.
    """
    share = labels.mean()
    if min(share, 1 - share) < LEAST_SHARE:
        return np.zeros_like(labels)
    columns = np.stack([1 - probability, probability], axis=1)
    with warnings.catch_warnings():
        # it finds few issues where there are few
        warnings.filterwarnings("ignore", "May not flag all label issues")
        issues: Bool = find_label_issues(
            labels.astype(np.int64), columns, filter_by="prune_by_class", n_jobs=1
        )
    return issues


def components(doubtful: Bool, membrane: Bool, probability: Float) -> tuple[Component, ...]:
    """Return the connected pieces of doubtful pixels that are worth a look, worst first."""
    connected = [
        *pieces(doubtful & ~membrane, probability, IssueKind.MISSING),
        *pieces(doubtful & membrane, 1 - probability, IssueKind.SURPLUS),
    ]
    return tuple(sorted(connected, key=lambda each: (-each.weight, each.row, each.column)))


def pieces(pixels: Bool, doubt: Float, kind: IssueKind) -> list[Component]:
    """Return the pieces of at least LEAST_PX that are LEAST_WIDTH wide somewhere."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        pixels.astype(np.uint8), connectivity=8
    )
    middle = cv2.erode(
        pixels.astype(np.uint8),
        np.ones((LEAST_WIDTH, LEAST_WIDTH), np.uint8),
        borderType=cv2.BORDER_REPLICATE,
    )
    cores = np.bincount(labels[middle > 0], minlength=count)
    sums = np.bincount(labels.ravel(), doubt.ravel(), minlength=count)
    return [
        Component(
            kind,
            row=int(top),
            column=int(left),
            height=int(height),
            width=int(width),
            size_px=int(size),
            core_px=int(cores[number]),
            score=float(sums[number] / size),
            pixels=labels[top : top + height, left : left + width] == number,
        )
        for number, (left, top, width, height, size) in enumerate(boxes.tolist())
        if number and size >= LEAST_PX and cores[number]
    ]


@dataclass(frozen=True)
class Folding:
    """Which patches are left out together. fold: int (N,), from 0; by_group: else patch by patch.

    learns: bool (N,), which masks may be learned from; the others are judged all the same.
    """

    fold: npt.NDArray[np.intp]
    learns: Bool
    by_group: bool

    @property
    def count(self) -> int:
        return int(self.fold.max(initial=-1)) + 1

    def left_out(self, fold: int) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.fold == fold)

    def learned(self, fold: int) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.learns & (self.fold != fold))


def folding(groups: Sequence[str], learns: Bool, *, folds: int, seed: int) -> Folding:
    """Deal patches into at most `folds` folds of about equal size, whole groups (slides) together.

    With only one group to learn from patches are dealt singly, which judges more mildly:
    neighbours share their stain and their author. Raises ValueError when fewer than two units
    can be learned from, as then nothing is out of fold.
    """
    by_group = len({group for group, own in zip(groups, learns, strict=True) if own}) > 1
    units = np.array(groups if by_group else [f"{number:09d}" for number in range(len(groups))])
    teaching = np.unique(units[learns])
    if folds < 2 or len(teaching) < 2:
        raise ValueError("An audit needs two groups, or two patches of one, to learn from.")
    drawn = np.random.default_rng(seed)
    only_judged = np.setdiff1d(units, teaching)
    dealt: dict[str, int] = {}
    sizes = np.zeros(min(folds, len(teaching)), np.int64)
    for part in (teaching, only_judged):
        counts = {str(unit): int(np.count_nonzero(units == unit)) for unit in part}
        # the largest first, equal ones as drawn, each to the smallest fold
        for unit in sorted(drawn.permutation(part).tolist(), key=lambda name: -counts[name]):
            dealt[unit] = int(sizes.argmin())
            sizes[dealt[unit]] += counts[unit]
    return Folding(np.array([dealt[unit] for unit in units.tolist()], np.intp), learns, by_group)
