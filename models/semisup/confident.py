"""Confident learning for two classes: which pixels' labels does a reference find doubtful?

Flags what `cleanlab.filter.find_label_issues(filter_by="prune_by_class")` (2.9) flags, but for a
pixel that float32 sums round to the other side of a threshold, and is linear in the pixels.
Source: Northcutt, Jiang and Chuang, "Confident Learning", JAIR 70 (2021); eqs. 4-7 of the EUGMT
paper. No torch here: the review queue selects before anything is trained.
"""

from collections.abc import Iterator, Sequence
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
BLOCK = 1 << 16


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


def confident_joint(
    labels: Labels, probability: Probabilities, thresholds: Sequence[float] | None = None
) -> ConfidentJoint:
    """Estimate the joint of a pixel set.

    labels: bool (N,), the given labels (a student's). probability: float (N,), the reference's
    probability of the positive class (the teacher's). thresholds: of each class, from elsewhere;
    None: this set's own (eq. 4). Raises ValueError for what is no probability.
    """
    check(labels, probability)
    ones = int(np.count_nonzero(labels))
    counts = np.array([labels.size - ones, ones])
    if thresholds is None:
        # 1 - p of the chosen pixels is the chosen of 1 - p, and a smaller array
        thresholds = [
            (1 - probability[~labels]).mean() if counts[0] else ABSENT,
            probability[labels].mean() if counts[1] else ABSENT,
        ]
    limits = np.clip(thresholds, LEAST_THRESHOLD, None)
    least = [at_least(each - SLACK, probability.dtype) for each in limits]
    confident = sum(
        (count_confident(labels[part], probability[part], least) for part in blocks(labels.size)),
        start=np.zeros((2, 2), np.int64),
    )
    np.fill_diagonal(confident, confident.diagonal().clip(min=1))
    return ConfidentJoint(counts, limits, calibrate(confident, counts))


def blocks(count: int) -> Iterator[slice]:
    """Yield parts of the pixels that stay in the processor's cache while they are worked on."""
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


def count_confident(
    labels: Labels, positive: Probabilities, least: Sequence[np.floating]
) -> npt.NDArray[np.int64]:
    """Count the pixels of each given label by the class they are sure of: int (2, 2) (eq. 5)."""
    negative = 1 - positive
    sure_0, sure_1 = negative >= least[0], positive >= least[1]
    counted = sure_0 | sure_1
    # sure of both: the likelier one
    as_one = sure_1 & (~sure_0 | (positive > negative))
    all_counted, all_as_one = np.count_nonzero(counted), np.count_nonzero(as_one)
    counted &= labels
    as_one &= labels
    ones_counted, ones_as_one = np.count_nonzero(counted), np.count_nonzero(as_one)
    zeros_as_one = all_as_one - ones_as_one
    return np.array(
        [
            [all_counted - ones_counted - zeros_as_one, zeros_as_one],
            [ones_counted - ones_as_one, ones_as_one],
        ]
    )


def at_least(threshold: float, dtype: np.dtype[np.floating]) -> np.floating:
    """Return the smallest value of `dtype` that is not below a threshold in double precision.

    An array compared with it gives what it gives when it is widened first, without the widening.
    """
    value = dtype.type(threshold)
    return value if value >= np.float64(threshold) else np.nextafter(value, dtype.type(np.inf))


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


def flagged(
    labels: Labels,
    probability: Probabilities,
    *,
    drop_agreeing: bool = True,
    least_count: int = 0,
    thresholds: Sequence[float] | None = None,
) -> Labels:
    """Return the pixels whose given label is doubtful: bool, shaped as the input.

    All pixels passed are one set, whatever their shape. `drop_agreeing` un-flags where the
    reference agrees with the label (cleanlab since 2.6; False: the paper's eqs. 4-7 alone).
    A class with fewer than `least_count` pixels is treated as absent: one pixel alone would set
    its own threshold and flag half of the others. `thresholds`: see `confident_joint`.
    """
    given, positive = labels.ravel(), np.asarray(probability).ravel()
    joint = confident_joint(given, positive, thresholds)
    issues = np.zeros(given.shape, np.bool_)
    if (joint.counts < least_count).any():
        return issues.reshape(labels.shape)
    for label in (0, 1):
        if doubtful := joint.doubtful(label):
            places = candidates(given, positive, label, drop_agreeing=drop_agreeing)
            own = positive[places] if label else 1 - positive[places]
            issues[places[smallest(own, doubtful)]] = True
    return issues.reshape(labels.shape)


def candidates(
    given: Labels, positive: Probabilities, label: int, *, drop_agreeing: bool
) -> npt.NDArray[np.intp]:
    """Return the places with a given label that may be doubted.

    Agreeing pixels are the most self-confident of their class, so leaving them out before the
    smallest are taken gives the same pixels as after, and is quicker.
    """
    places = [np.empty(0, np.intp)]
    for part in blocks(given.size):
        chosen = given[part] if label else ~given[part]
        if drop_agreeing:
            chosen = chosen & disagreeing(positive[part], label)
        places.append(np.flatnonzero(chosen) + part.start)
    return np.concatenate(places)


def disagreeing(positive: Probabilities, label: int) -> Labels:
    """Where the reference's own label is not this one, which gets a slight favour."""
    negative = 1 - positive
    # equal ones are label 0
    against: Labels = negative >= positive + SLACK if label else positive > negative + SLACK
    return against


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
