"""From nine counts to a category: walks down a protocol's table, in whole numbers only.

A share is never divided out: `100 * k > 10 * n` is exact at 10.0 % for every n, and the same
counts give the same answer on every machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.her2.classes import CLASSES, INDEX, NOT_ASSESSABLE, SCORES
from models.her2.flags import FATAL_BY_COUNT, SEVERITY, Flag, ordered
from models.her2.protocols import Protocol, ProtocolError, Row

Counts = npt.NDArray[np.int64]

_BARRED = {
    "no_tumour_region": "No tumour is left to evaluate: draw a region round the invasive tumour, "
    "and leave some of it outside of exclude regions.",
    "mpp_missing": "How large a pixel of the slide is, in µm, is not known.",
    "fluorescence": "The slide is a fluorescence image.",
    "colour": "The colours are not those of haematoxylin and DAB.",
    "control_failed": "The control tissue did not stain as it must.",
}


@dataclass(frozen=True)
class Verdict:
    """The category with its reason code.

    among: the scores that cannot be told apart where a limiting flag took the answer away.
    """

    score: str
    reason: str
    flags: tuple[Flag, ...] = ()
    among: tuple[str, ...] = ()

    def printed(self, protocol: Protocol) -> str:
        """Return the score as the report shows it (0+ may be merged into 0 there)."""
        if self.among:
            return f"{'/'.join(self.among)} not separated"
        return "0" if self.score == "0+" and protocol.merge_zero_plus else self.score

    def asks_for_ish(self, protocol: Protocol) -> bool:
        return self.score in protocol.ish_after


def decide(
    counts: Sequence[int] | npt.NDArray[np.integer],
    protocol: Protocol,
    *,
    barred: Iterable[str] = (),
    clustered: Sequence[int] | npt.NDArray[np.integer] | None = None,
) -> Verdict:
    """Score a slide.

    counts: cells of each of the nine CLASSES. barred: codes of fatal and limiting flags; warnings
    are ignored. clustered: for a protocol with clusters, cells lying in clusters at each of its
    cluster_levels (heterogeneity.in_clusters). Raises ValueError for negative counts, other
    lengths or unknown codes, ProtocolError where clusters are needed and not given.
    """
    class_counts = _counts(counts)
    total = int(class_counts.sum())
    codes = set(barred)
    if unknown := codes - set(SEVERITY):
        raise ValueError(f"no such flags: {sorted(unknown)}")
    if total < protocol.min_cells:
        codes.add(FATAL_BY_COUNT)
    flags = [Flag("uncalibrated", _UNCALIBRATED)] if protocol.calibration is None else []
    stopping = [code for code in protocol.bars if code in codes]
    if stopping:
        few = f"{total} evaluable tumour cells; the protocol asks for {protocol.min_cells}."
        flags += [Flag(code, _BARRED.get(code, few)) for code in stopping]
        return Verdict(NOT_ASSESSABLE, stopping[0], ordered(flags))
    levels = None if clustered is None else np.asarray([clustered], np.int64)
    row = protocol.table[int(rows(class_counts[None], protocol, levels)[0])]
    flags += _questions(class_counts, total, row, protocol)
    for code, scores in protocol.limits.items():
        if code in codes:
            flags.append(Flag(code, f"{', '.join(scores)} cannot be told apart."))
            if row.score in scores:
                return Verdict(NOT_ASSESSABLE, code, ordered(flags), scores)
    return Verdict(row.score, row.reason, ordered(flags))


def rows(counts: Counts, protocol: Protocol, clustered: Counts | None = None) -> Counts:
    """Find for each line of counts (B, 9) the first row of protocol.table that holds (B,).

    clustered: (B, levels). Says nothing about too few cells. Raises ProtocolError where the
    protocol looks at clusters and none are given.
    """
    if protocol.clusters is not None and clustered is None:
        raise ProtocolError(f"{protocol.name} scores clusters: give the cells lying in them")
    total = counts.sum(axis=1)
    answer = np.full(len(counts), -1, np.int64)
    level = 0
    for number, row in enumerate(protocol.table):
        if row.when == "clustered" and clustered is not None:
            cells = clustered[:, level]
            level += 1
        else:
            cells = counts[:, protocol.columns(row)].sum(axis=1)
        answer[(answer < 0) & (cells >= needed(row, total, protocol))] = number
    return answer


def categories(
    counts: Counts,
    protocol: Protocol,
    *,
    barred: Iterable[str] = (),
    clustered: Counts | None = None,
) -> npt.NDArray[np.str_]:
    """Give the category of each line of counts (B, 9), by the rule of `decide`: (B,)."""
    codes = set(barred)
    answers = np.array([row.score for row in protocol.table])
    scores = answers[rows(counts, protocol, clustered)].astype("U16")
    for code, among in protocol.limits.items():
        if code in codes:
            scores[np.isin(scores, among)] = NOT_ASSESSABLE
    if codes & set(protocol.bars):
        scores[:] = NOT_ASSESSABLE
    scores[counts.sum(axis=1) < protocol.min_cells] = NOT_ASSESSABLE
    return scores


def needed(row: Row, total: Counts, protocol: Protocol) -> Counts:
    """Give the least number of cells (B,) with which the row's test holds among `total` (B,)."""
    if row.when == "over":
        share = protocol.cut_percent * total
        return share // 100 + 1 if protocol.comparator == ">" else -(-share // 100)
    if row.when == "seen":
        return np.maximum(protocol.floor_cells, -(-protocol.floor_permille * total // 1000))
    if row.when == "clustered" and protocol.clusters is not None:
        return np.full_like(total, protocol.clusters.cells)
    return np.full_like(total, 1 if row.when == "any" else 0)


_UNCALIBRATED = "The thresholds are start values, not measured on this laboratory's controls."


def _counts(counts: Sequence[int] | npt.NDArray[np.integer]) -> Counts:
    class_counts = np.asarray(counts)
    if class_counts.shape != (len(CLASSES),) or class_counts.dtype.kind not in "iu":
        raise ValueError(f"counts are {len(CLASSES)} whole numbers, one for each of {CLASSES}")
    if (class_counts < 0).any():
        raise ValueError("counts cannot be negative")
    return class_counts.astype(np.int64)


def _questions(counts: Counts, total: int, row: Row, protocol: Protocol) -> list[Flag]:
    """What the reader must be told of, or asked, although the table gave an answer."""
    flags: list[Flag] = []
    stained, intense = total - int(counts[INDEX["N"]]), int(counts[INDEX["IC"]])
    floor = int(needed(Row("seen", (), "", ""), np.asarray([total]), protocol)[0])
    if row.reason == "below_detection_limit":
        flags.append(
            Flag(
                "below_detection_limit",
                f"{stained} of {total} cells are stained, fewer than the {floor} that the method "
                "can tell from chance. Look at them: is the staining real?",
            )
        )
    elif 0 < intense < floor:
        flags.append(
            Flag(
                "intense_below_detection",
                f"{intense} of {total} cells show intense complete staining, fewer than the "
                f"{floor} that the method can tell from chance. Look at them: is it real?",
            )
        )
    if row.reason == "gap_pattern":
        flags.append(
            Flag(
                "gap_pattern",
                f"The guideline does not name this pattern: here it is scored as {protocol.gap}. A "
                f"laboratory may choose {' or '.join(_others(protocol))} instead.",
            )
        )
    if intense >= floor and row.score in SCORES[:3]:
        flags.append(
            Flag(
                "intense_below_cut",
                f"{intense} of {total} cells show intense complete staining, too few for a higher "
                "category in this protocol. Look at them.",
            )
        )
    if total < protocol.good_cells:
        flags.append(
            Flag(
                "cells_100_500",
                f"{total} cells were counted: below {protocol.good_cells} the percentages are "
                "less sure.",
            )
        )
    return flags


def _others(protocol: Protocol) -> tuple[str, ...]:
    return tuple(choice for choice in protocol.gap_choices if choice != protocol.gap)
