"""Confident learning for two classes: which pixels' labels does a reference find doubtful?

Equal to `cleanlab.filter.find_label_issues(filter_by="prune_by_class")` (2.9) bit for bit, but
linear in the pixels. Source: Northcutt, Jiang and Chuang, "Confident Learning", JAIR 70 (2021);
eqs. 4-7 of the EUGMT paper. No torch here: the review queue selects before anything is trained.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.floating]

SLACK = 1e-6
"""By how much a probability may miss its class's threshold, or a given label be favoured."""
LEAST_THRESHOLD = 2e-6
ABSENT = 2.0
"""Threshold of a class that no pixel has: no probability reaches it."""


@dataclass(frozen=True)
class ConfidentJoint:
    """The joint of given and confidently estimated labels over one set of pixels.

    counts: int (2,), pixels given each label. thresholds: float (2,), mean self-confidence.
    joint: int (2, 2), calibrated so that row i sums to counts[i] (|X| times Q of eq. 6).
    """

    counts: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float64]
    joint: npt.NDArray[np.int64]

    def doubtful(self, given: int) -> int:
        """Return how many pixels with this given label are estimated to be wrong (eq. 7)."""
        if self.counts[given] <= 1:
            return 0
        return int(self.counts[given] - max(self.joint[given, given], 1))


def confident_joint(labels: Labels, probability: Probabilities) -> ConfidentJoint:
    """Estimate the joint of a pixel set.

    labels: bool (N,), the given labels (a student's). probability: float (N,), the reference's
    probability of the positive class (the teacher's). Raises ValueError for what is no
    probability.
    """
    check(labels, probability)
    positive = np.asarray(probability)
    negative = 1 - positive
    ones = int(np.count_nonzero(labels))
    counts = np.array([labels.size - ones, ones])
    thresholds = np.clip(
        [
            negative[~labels].mean() if counts[0] else ABSENT,
            positive[labels].mean() if counts[1] else ABSENT,
        ],
        LEAST_THRESHOLD,
        None,
    )
    sure_0 = negative >= thresholds[0] - SLACK
    sure_1 = positive >= thresholds[1] - SLACK
    guess_1 = np.where(sure_0 & sure_1, positive > negative, sure_1)
    counted = sure_0 | sure_1
    confident = np.empty((2, 2), np.int64)
    for given, of_class in enumerate((~labels, labels)):
        all_counted = np.count_nonzero(counted & of_class)
        as_one = np.count_nonzero(counted & of_class & guess_1)
        confident[given] = all_counted - as_one, as_one
    np.fill_diagonal(confident, confident.diagonal().clip(min=1))
    return ConfidentJoint(counts, thresholds, calibrate(confident, counts))


def calibrate(
    confident: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Scale each row to the number of pixels with that label, in whole pixels (eq. 6)."""
    scaled = (confident.T / confident.sum(axis=1) * counts).T
    scaled = scaled / max(scaled.sum(), 1e-100) * counts.sum()
    return np.array([round_row(row) for row in scaled])


def round_row(row: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Round two numbers to whole ones with the same sum; the one that lost most gives way."""
    whole = row.round()
    missing = row.sum().round() - whole.sum()
    if missing:
        lost = row - whole
        # of equal losses the later entry rises and the earlier one falls
        chosen = int(lost[1] >= lost[0]) if missing > 0 else int(lost[1] < lost[0])
        whole[chosen] += missing
    return whole.astype(np.int64)


def disagreeing(labels: Labels, probability: Probabilities) -> Labels:
    """Where the reference's own label differs from the given one, which gets a slight favour."""
    negative = 1 - probability
    return np.where(labels, negative >= probability + SLACK, probability > negative + SLACK)


def flagged(
    labels: Labels,
    probability: Probabilities,
    *,
    drop_agreeing: bool = True,
    least_count: int = 0,
) -> Labels:
    """Return the pixels whose given label is doubtful: bool, shaped as the input.

    All pixels passed are one set, whatever their shape. `drop_agreeing` un-flags where the
    reference agrees with the label (cleanlab since 2.6; False: the paper's eqs. 4-7 alone).
    A class with fewer than `least_count` pixels is treated as absent: one pixel alone would set
    its own threshold and flag half of the others.
    """
    given, reference = labels.ravel(), np.asarray(probability).ravel()
    joint = confident_joint(given, reference)
    issues = np.zeros(given.shape, np.bool_)
    if (joint.counts < least_count).any():
        return issues.reshape(labels.shape)
    candidates = disagreeing(given, reference) if drop_agreeing else np.ones_like(given)
    for label, self_confidence in ((False, 1 - reference), (True, reference)):
        # Agreeing pixels are the most self-confident of their class, so leaving them out
        # before the smallest are taken gives the same pixels as after, and is quicker.
        places = np.flatnonzero(candidates & (given == label))
        issues[places[smallest(self_confidence[places], joint.doubtful(int(label)))]] = True
    return issues.reshape(labels.shape)


def smallest(values: Probabilities, count: int) -> npt.NDArray[np.intp]:
    """Return the places of the `count` smallest values; of equal ones the first come first."""
    if count <= 0:
        return np.empty(0, np.intp)
    if count >= values.size:
        return np.arange(values.size)
    last = np.partition(values, count - 1)[count - 1]
    below = np.flatnonzero(values < last)
    return np.concatenate([below, np.flatnonzero(values == last)[: count - below.size]])


def check(labels: Labels, probability: Probabilities) -> None:
    if labels.dtype != np.bool_:
        raise ValueError(f"labels must be bool, got {labels.dtype}")
    if labels.shape != probability.shape:
        raise ValueError(f"labels {labels.shape} and probability {probability.shape} differ")
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError("probability must be finite and within 0 and 1")
