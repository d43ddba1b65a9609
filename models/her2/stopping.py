"""When a slide's category stands: which places could still change it, and after which none can.

The confidence is the chance that the category stays what it is when all that nobody has reviewed
is corrected as well. It is drawn: for each phantom of the bank, by how much that is like the slide,
what its table makes of the cells that lie on proposals, and what a tumour's border drawn elsewhere
would add or leave out. Nothing is said of other tissue (that is the interval's, intervals.py) and
nothing of what no correction of a mask changes: a nucleus that was overlooked, thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from models.her2.cells import OVERRIDDEN, Cells
from models.her2.classes import CLASSES
from models.her2.decision import categories
from models.her2.influence import Turn, turns
from models.her2.pixels import Regions
from models.her2.protocols import Protocol
from models.her2.transitions import BINS, Bank, kinds_of, label_of_kind

Bool = npt.NDArray[np.bool_]
Double = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

ENOUGH = 0.95
"""Confidence with which the rule is met."""
WIDTH = 2.0
"""Of the drawn changes, chosen on phantoms that judge nothing (docs/her2_validation.md)."""
DRAWS = 64
"""For each phantom of the bank."""
BORDER_UM = 8.0
"""How far a second person would draw a tumour's border elsewhere (one sigma): about a cell."""
TAIL = 0.025
POSSIBLE = 0.01
"""Categories of at least this chance are named."""
DONE = 0.02
"""A cell with a smaller unreviewed share of its contour is reviewed."""


@dataclass(frozen=True)
class Stop:
    """confidence: None without a category. places: numbers of those that are left, the one that
    matters most first; after_them: confidence expected once they have been reviewed and nothing
    there has changed. chances: of each category that it could become. intervals: of each test that
    could turn over, by its code: the share in % after all has been reviewed, low and high of 95 %.
    """

    met: bool
    confidence: float | None
    places: Whole
    after_them: float | None
    chances: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Open:
    """The cells by place, rising: `place` (P,); as counted `now` (P, 9); what of that is settled
    (P, 9); the rest by its kind (P, BINS). border: counted cells at the tumour's border (9,).
    """

    place: Whole
    now: Double
    settled: Double
    kinds: Double
    border: Double

    @classmethod
    def of(
        cls, cells: Cells, included: Bool, place: Whole, regions: Regions, protocol: Protocol
    ) -> "Open":
        """Sort a slide's cells by place (n,): the number of the patch in which each lies."""
        places, number = np.unique(place[included], return_inverse=True)
        counted = cells.take(included)
        unreviewed = open_share(counted)

        def table(column: npt.NDArray[np.integer], width: int, weight: Double) -> Double:
            flat = np.bincount(number * width + column, weight, len(places) * width)
            return np.asarray(flat.reshape(len(places), width), np.float64)

        classes, label = len(CLASSES), counted.label.astype(np.int64)
        inner = regions.tumour.buffer(-BORDER_UM / cells.mpp)
        shapely.prepare(inner)
        rim = ~np.asarray(shapely.contains_xy(inner, counted.x, counted.y), np.bool_)
        return cls(
            place=places.astype(np.int64),
            now=table(label, classes, np.ones(len(label))),
            settled=table(label, classes, 1 - unreviewed),
            kinds=table(kinds_of(counted, protocol), BINS, unreviewed),
            border=np.bincount(label[rim], minlength=classes).astype(np.float64),
        )


def open_share(cells: Cells) -> Double:
    """Share of each cell's contour that nobody has reviewed: (n,), 0 with a person's class."""
    share = 1 - cells.reviewed_um / np.maximum(cells.contour_um, 1e-6)
    share = np.where(share < DONE, 0, np.clip(share, 0, 1))
    share[(cells.flags & OVERRIDDEN) > 0] = 0
    return np.asarray(share, np.float64)


def rule(
    document: Mapping[str, Any],
    protocol: Protocol,
    slide: Open,
    readable: Bool,
    bank: Bank,
    *,
    seen: Double | None = None,
    width: float = WIDTH,
) -> Stop:
    """Apply the rule to a scored slide.

    readable: places that can still be reviewed, bool (P,). seen: what became of cells where people
    have corrected proposals, (BINS, 10). Deterministic. Raises ValueError if the document is
    another protocol's.
    """
    if document["reason"] in protocol.bars or not document["cells"]:
        return Stop(False, None, np.zeros(0, np.int64), None, {}, {})
    known = np.zeros((BINS, len(CLASSES) + 1)) if seen is None else seen
    kinds = slide.kinds.sum(axis=0)
    drawn = _Drawn(document, protocol, slide.border, bank, kinds, known, width)
    settled = slide.settled.sum(axis=0)
    chances = drawn.chances(settled, kinds)
    ways = tuple(
        way for way in turns(document, protocol) if merged(way.score, protocol) != drawn.now
    )
    now = drawn.now
    confidence = chances.pop(now, 0.0)
    met = confidence >= ENOUGH
    order = np.zeros(0, np.int64)
    after = confidence
    if not met:
        value = slide.kinds @ drawn.flips(ways)
        order = np.flatnonzero(readable & (value > 0))
        order = order[np.lexsort((slide.place[order], -value[order]))]
        order, after = _fewest(drawn, slide, order)
    named = {score: round(chance, 4) for score, chance in chances.items() if chance >= POSSIBLE}
    likely = dict(sorted(named.items(), key=lambda each: -each[1]))
    intervals = drawn.intervals(settled, kinds, ways)
    return Stop(met, round(confidence, 4), slide.place[order], round(after, 4), likely, intervals)


def _fewest(drawn: "_Drawn", slide: Open, order: Whole) -> tuple[Whole, float]:
    """Return the first places after which the category would stand, and how surely."""
    settled, kinds = slide.settled.sum(axis=0), slide.kinds.sum(axis=0)
    nothing = np.zeros((1, 1))
    fixed = np.cumsum(np.concatenate([nothing * settled, (slide.now - slide.settled)[order]]), 0)
    gone = np.cumsum(np.concatenate([nothing * kinds, slide.kinds[order]]), 0)

    def after(count: int) -> float:
        rest = np.maximum(kinds - gone[count], 0)
        return drawn.chances(settled + fixed[count], rest).get(drawn.now, 0.0)

    few, many = 0, len(order)
    best = after(many)
    if best < ENOUGH:
        return order, best
    while many - few > 1:
        middle = (few + many) // 2
        chance = after(middle)
        if chance >= ENOUGH:
            many, best = middle, chance
        else:
            few = middle
    return order[:many], best


class _Drawn:
    """Categories of a slide as its open cells may turn out: the same draws for each question."""

    def __init__(
        self,
        document: Mapping[str, Any],
        protocol: Protocol,
        border: Double,
        bank: Bank,
        kinds: Double,
        seen: Double,
        width: float,
    ) -> None:
        self._protocol = protocol
        self._barred = [flag["code"] for flag in document["flags"] if flag["severity"] != "warning"]
        self.now = merged(str(document["score"]), protocol)
        self._counts = np.array([document["counts"][name] for name in CLASSES], np.int64)
        self._clustered = _clustered(document, protocol)
        proposed = kinds + seen.sum(axis=1)
        self._weights = bank.weights(proposed, seen)
        chance = bank.tables(seen)[:, :, : len(CLASSES)]
        label = np.eye(len(CLASSES))[label_of_kind()]
        self._mean = label + width * (chance - label)
        each = np.einsum("jbc,bcd->jbcd", chance, np.eye(len(CLASSES))[None].repeat(BINS, 0))
        pairs = np.einsum("jbc,jbd->jbcd", chance, chance)
        self._spread = width**2 * bank.spread * (each - pairs)
        self._border = np.outer(border, border)
        shape = (len(chance), DRAWS, len(CLASSES))
        self._normal = np.random.default_rng(0).standard_normal(shape)

    def chances(self, settled: Double, kinds: Double) -> dict[str, float]:
        """Chance of each category: settled cells by class (9,), open ones by kind (BINS,)."""
        counts = self._draws(settled, kinds)
        flat = counts.reshape(-1, len(CLASSES))
        clustered = None
        if self._clustered is not None:
            # whatever joins is taken to hang together: on the safe side
            levels = [list(columns) for columns in self._protocol.cluster_levels]
            members = np.stack([flat[:, columns].sum(axis=1) for columns in levels], axis=1)
            before = np.array([self._counts[columns].sum() for columns in levels])
            clustered = np.clip(self._clustered + members - before, 0, members)
        scores = categories(flat, self._protocol, barred=self._barred, clustered=clustered)
        if self._protocol.merge_zero_plus:
            scores[scores == "0+"] = "0"
        weight = np.repeat(self._weights / DRAWS, DRAWS)
        return {str(score): float(weight[scores == score].sum()) for score in np.unique(scores)}

    def intervals(
        self, settled: Double, kinds: Double, ways: tuple[Turn, ...]
    ) -> dict[str, tuple[float, float]]:
        """Bound the share of each test in %, as `chances` draws it: 95 %."""
        flat = self._draws(settled, kinds).reshape(-1, len(CLASSES))
        weight = np.repeat(self._weights / DRAWS, DRAWS)
        bounds = {}
        for way in ways:
            share = 100 * flat[:, list(way.columns)].sum(axis=1) / np.maximum(flat.sum(axis=1), 1)
            order = np.argsort(share, kind="stable")
            at = np.searchsorted(np.cumsum(weight[order]), [TAIL, 1 - TAIL])
            low, high = share[order[np.minimum(at, len(share) - 1)]].round(4).tolist()
            bounds[way.test] = low, high
        return bounds

    def _draws(self, settled: Double, kinds: Double) -> Whole:
        """Draw the slide's counts: (J, DRAWS, 9)."""
        mean = settled + np.einsum("b,jbc->jc", kinds, self._mean)
        covariance = np.einsum("b,jbcd->jcd", kinds, self._spread) + self._border
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        counts = mean[:, None] + np.einsum("jdk,jck->jdc", self._normal, root)
        return np.asarray(np.rint(np.maximum(counts, 0)), np.int64)

    def flips(self, ways: tuple[Turn, ...]) -> Double:
        """How many cells of the way to another category one of each kind is worth: (BINS,)."""
        label, best = label_of_kind(), np.zeros(BINS)
        mean = np.einsum("j,jbc->bc", self._weights, self._mean).clip(0)
        for way in ways:
            member = np.isin(np.arange(len(CLASSES)), way.columns)
            if way.joins:
                flip = np.where(member[label], 0, mean[:, member].sum(axis=1))
            else:
                flip = np.where(member[label], 1 - mean[:, member].sum(axis=1), 0)
            best = np.maximum(best, np.maximum(flip, 0) / max(1, way.flips))
        return best


def merged(score: str, protocol: Protocol) -> str:
    """Return a category as the rule tells it apart: one that is printed as 0 is 0."""
    return "0" if score == "0+" and protocol.merge_zero_plus else score


def _clustered(document: Mapping[str, Any], protocol: Protocol) -> Whole | None:
    if protocol.clusters is None:
        return None
    now = {test["test"]: test["cells_now"] for test in document["distance"]}
    rows = [row.reason for row in protocol.table if row.when == "clustered"]
    return np.array([now[reason] for reason in rows], np.int64)
