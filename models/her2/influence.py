"""How much a correction in one place could change a slide's category.

A patch counts by what its doubtful cells could do at a threshold: the flips expected there over
the flips that are needed (`distance` of the score document, her2.md §3.8). Where the category
cannot change, or nothing is in doubt, there is no influence. Chances are of a normal error round
the measured values, an approximation that only orders patches: no score is made of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from models.her2.cells import OVERRIDDEN, Cells
from models.her2.classes import CLASSES, INDEX, NOT_ASSESSABLE
from models.her2.protocols import Protocol, Row

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]

ERROR_OF_PROPOSAL = (0.16, 0.06)
"""Of c* and of the intensity (log10 OD) on a model's mask: cold-start proposals against the true
masks of 12 phantoms 0+ to 3+, 2,148 cells, median absolute deviation × 1.4826."""
ERROR_OF_PERSON = (1 / 32, 0.04)
"""The same on a person's mask: one ray of 32, and how far apart equal membranes are read (a true
0.50 as 0.36–0.44, her2.md §3.5)."""
DOUBTFUL = 0.1
"""From this chance on of lying on the other side of the threshold a cell is called doubtful."""


@dataclass(frozen=True)
class Turn:
    """One way to another category: `flips` cells join, or leave, the classes of a test.

    test: its reason code; columns: of CLASSES; score: the category that it would be; percent_now
    and threshold: of the test, as the score document prints them.
    """

    test: str
    columns: tuple[int, ...]
    joins: bool
    flips: int
    score: str
    percent_now: float
    threshold: float


@dataclass(frozen=True)
class Influence:
    """Places (P,) in rising order with the best turn of each.

    turn: index into the turns. share: expected flips over those needed, 1 where this place alone
    is expected to be enough. expected: flips. doubtful: cells of at least DOUBTFUL.
    """

    place: Whole
    turn: Whole
    share: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float64]
    doubtful: Whole


@dataclass(frozen=True)
class _Test:
    row: Row
    columns: tuple[int, ...]
    passed: bool
    flips: int
    percent: float
    threshold: float


def turns(document: Mapping[str, Any], protocol: Protocol) -> tuple[Turn, ...]:
    """List the ways in which the category of a score document could change.

    Up the table: any test above the one that decided, if it holds with `cells_to_flip` more. Down:
    every test that holds, from the deciding one to the last before another category, must fail;
    the one that needs most stands for them, so `flips` is then the least that could be enough. All
    other cells stay as they are. Without a category there is none. Raises ValueError if the
    document is another protocol's.
    """
    if document["reason"] in protocol.bars or not document["cells"]:
        return ()
    tests = list(_tests(document, protocol))
    codes = {flag["code"] for flag in document["flags"]}

    def category(test: _Test) -> str:
        hidden = (among for code, among in protocol.limits.items() if code in codes)
        inside = any(test.row.score in among for among in hidden)
        return NOT_ASSESSABLE if inside else test.row.score

    standing = next(number for number, test in enumerate(tests) if test.passed)
    now = category(tests[standing])
    changes = [
        _turn(test, category(test), joins=True)
        for test in tests[:standing]
        if category(test) != now and test.flips
    ]
    below = [test for test in tests[standing:] if test.passed]
    other = next((n for n, test in enumerate(below) if category(test) != now), None)
    if other is not None:
        hardest = max(below[:other], key=lambda test: test.flips)
        changes.append(_turn(hardest, category(below[other]), joins=False))
    return tuple(changes)


def chances(
    unshared: Float, intensity: Float, unreviewed: Float, protocol: Protocol
) -> npt.NDArray[np.float32]:
    """Chance of each of CLASSES for cells with a normal error of c* and intensity: (n, 9).

    unreviewed: share of the contour that lies on no person's mask (n,): the errors lie
    between ERROR_OF_PERSON and ERROR_OF_PROPOSAL. P(level) = Φ((t' - I)/σ) - Φ((t - I)/σ) between
    two steps t < t', P(complete) = Φ((c* - c_full)/σ), P(stained) likewise at c_any; the two
    measures are taken for independent.
    """
    spread_c, spread_i = (
        (person + unreviewed * (proposal - person)).astype(np.float32)
        for person, proposal in zip(ERROR_OF_PERSON, ERROR_OF_PROPOSAL, strict=True)
    )
    steps = np.asarray(protocol.intensity_cuts, np.float32)
    above = ndtr((intensity[:, None] - steps) / spread_i[:, None])
    level = -np.diff(above, append=0)
    any_, full = (ndtr((unshared - cut) / spread_c) for cut in (protocol.c_any, protocol.c_full))
    out = np.empty((len(unshared), len(CLASSES)), np.float32)
    out[:, 1::2] = level * (any_ - full)[:, None]
    out[:, 2::2] = level * full[:, None]
    out[:, INDEX["N"]] = 1 - any_ * above[:, 0]
    return out


def doubt(cells: Cells, included: Bool, protocol: Protocol) -> npt.NDArray[np.float32]:
    """Chance of each class for the cells of a slide: (n, 9).

    A cell whose class a person set has that class; one that a person left out has none at all.
    """
    known = cells.reviewed_um / np.maximum(cells.contour_um, 1e-6)
    unreviewed = np.clip(1 - known, 0, 1).astype(np.float32)
    probability = chances(cells.unshared, cells.intensity, unreviewed, protocol)
    fixed = (cells.flags & OVERRIDDEN) > 0
    probability[fixed] = np.eye(len(CLASSES), dtype=np.float32)[cells.label[fixed]]
    probability[~included] = 0
    return probability


def influence(
    chance: npt.NDArray[np.float32],
    label: npt.NDArray[np.uint8],
    place: npt.NDArray[np.integer],
    ways: tuple[Turn, ...],
) -> Influence:
    """Add up what the cells of each place could do: max over turns of Σ q / flips.

    chance: of each class (n, 9), all 0 for a cell that is not counted. label: the class that it is
    counted as (n,). place: number of the patch in which it lies (n,). q: the chance that a cell
    really lies on the other side of the turn's test. Places where less than DOUBTFUL flips are
    expected are left out.
    """
    places, number = np.unique(place, return_inverse=True)
    expected = np.zeros((len(ways), len(places)))
    doubtful = np.zeros((len(ways), len(places)), np.int64)
    for row, way in enumerate(ways):
        flip = flips(chance, label, way)
        expected[row] = np.bincount(number, flip, len(places))
        doubtful[row] = np.bincount(number[flip >= DOUBTFUL], minlength=len(places))
    if not ways:
        nothing = np.zeros(0, np.int64)
        return Influence(nothing, nothing, np.zeros(0), np.zeros(0), nothing)
    share = expected / np.array([way.flips for way in ways])[:, None]
    best = share.argmax(axis=0)
    at = best, np.arange(len(places))
    some = expected[at] >= DOUBTFUL
    return Influence(
        place=places[some].astype(np.int64),
        turn=best[some],
        share=share[at][some],
        expected=expected[at][some],
        doubtful=doubtful[at][some],
    )


def flips(
    chance: npt.NDArray[np.float32], label: npt.NDArray[np.uint8], way: Turn
) -> npt.NDArray[np.float64]:
    """Chance that each cell really lies on the other side of a turn's test: (n,)."""
    member = np.zeros(len(CLASSES), np.bool_)
    member[list(way.columns)] = True
    other = member if way.joins else ~member
    # a sum of chances, so rounding may leave it a hair outside
    chance_of_other = np.clip(chance[:, other].sum(axis=1, dtype=np.float64), 0, 1)
    return np.where(member[label] != way.joins, chance_of_other, 0.0)


def _turn(test: _Test, score: str, *, joins: bool) -> Turn:
    return Turn(
        test.row.reason, test.columns, joins, test.flips, score, test.percent, test.threshold
    )


def _tests(document: Mapping[str, Any], protocol: Protocol) -> Iterator[_Test]:
    """Put each row of the table beside what the document says of it."""
    scored_by = document["protocol"]
    if (scored_by["name"], scored_by["gap"]) != (protocol.name, protocol.gap):
        raise ValueError(f"this is a score by {scored_by['name']}, not by {protocol.name}")
    distances = iter(document["distance"])
    for row in protocol.table:
        columns = protocol.columns(row)
        if row.when in {"any", "otherwise"}:
            now = sum(document["counts"][CLASSES[column]] for column in columns)
            least = 1 if row.when == "any" else 0
            percent, threshold = 100 * now / document["cells"], 0.0
        else:
            each = next(distances)
            if each["test"] != row.reason:
                raise ValueError(f"the document tests {each['test']}, the protocol {row.reason}")
            now, least = each["cells_now"], each["cells_needed"]
            percent, threshold = each["percent_now"], each["threshold"]
        passed = now >= least
        flips = now - least + 1 if passed else least - now
        yield _Test(row, columns, passed, flips, percent, threshold)
