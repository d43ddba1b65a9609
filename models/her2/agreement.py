"""How well computed categories agree with given ones (her2.md §5).

Matrices have the given category (reference) in rows and the computed one in columns. Slides of one
patient are alike, so intervals of kappa draw patients. "Not assessable" is no disagreement and no
agreement: it is counted apart.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.her2.classes import NOT_ASSESSABLE, SCORES
from models.her2.intervals import DRAWS, LEVEL, redraw, wilson
from models.her2.percentages import bland_altman, deming, icc, logit

__all__ = [
    "agreement",
    "bland_altman",
    "confusion",
    "deming",
    "gwet_ac1",
    "icc",
    "kappa",
    "logit",
    "matrices_of_patients",
    "scale_of",
]

Double = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

# a cut lies below its second score; 0|1+ puts 0+ with 0, as guidelines without 0+ do
CUTS = {"0|0+": "0+", "0|1+": "1+", "1+|2+": "2+", "2+|3+": "3+"}


def confusion(given: Sequence[str], computed: Sequence[str], labels: Sequence[str]) -> Whole:
    """Count pairs (K, K): row = given, column = computed. Raises ValueError for other labels."""
    if len(given) != len(computed):
        raise ValueError(f"{len(given)} given and {len(computed)} computed categories")
    place = {label: number for number, label in enumerate(labels)}
    if strange := sorted({*given, *computed} - set(place)):
        raise ValueError(f"unknown categories {strange}; known are {list(labels)}")
    matrix = np.zeros((len(labels), len(labels)), np.int64)
    rows = [place[label] for label in given]
    np.add.at(matrix, (rows, [place[label] for label in computed]), 1)
    return matrix


def kappa(matrices: npt.NDArray[Any], *, power: int = 0) -> Double:
    """Cohen's kappa (1960; weighted 1968) of matrices (…, K, K); NaN where chance explains all.

    power 0: every disagreement weighs the same; 1: linear |i - j|; 2: quadratic (i - j)².
    κ = 1 - Σ w·observed / Σ w·expected.
    """
    table = np.asarray(matrices, float)
    step = np.abs(np.subtract.outer(np.arange(table.shape[-1]), np.arange(table.shape[-1])))
    weights = (step > 0).astype(float) if power == 0 else step.astype(float) ** power
    n = table.sum(axis=(-2, -1))
    given, computed = table.sum(axis=-1), table.sum(axis=-2)
    observed = (weights * table).sum(axis=(-2, -1))
    expected = np.einsum("...i,ij,...j->...", given, weights, computed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - n * observed / expected, np.float64)


def gwet_ac1(matrices: npt.NDArray[Any]) -> Double:
    """Gwet's AC1 (2008) of matrices (…, K, K): holds where one category is rare.

    (p_a - p_e) / (1 - p_e), p_e = Σ π(1 - π) / (K - 1), π = mean of the two margins' shares.
    """
    table = np.asarray(matrices, float)
    n = table.sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        agreed = np.trace(table, axis1=-2, axis2=-1) / n
        share = (table.sum(axis=-1) + table.sum(axis=-2)) / (2 * n[..., None])
        chance = (share * (1 - share)).sum(axis=-1) / (table.shape[-1] - 1)
        return np.asarray((agreed - chance) / (1 - chance), np.float64)


def agreement(
    given: Sequence[str],
    computed: Sequence[str],
    patients: Sequence[str] | None = None,
    *,
    merge_zero_plus: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare categories of slides: a document of plain numbers, None where undefined.

    patients: whose slide it is (default: each its own). merge_zero_plus: count 0+ as 0 on both
    sides, for references that do not know 0+. Raises ValueError for unknown categories.
    """
    people = list(patients) if patients is not None else [str(n) for n in range(len(given))]
    if not len(given) == len(computed) == len(people):
        raise ValueError("given, computed and patients must have one entry a slide")
    labels, (given, computed) = scale_of([given, computed], merge_zero_plus=merge_zero_plus)
    if strange := sorted({*given, *computed} - {*labels, NOT_ASSESSABLE}):
        raise ValueError(f"unknown categories {strange}; known are {labels}")
    pairs = zip(given, computed, people, strict=True)
    usable = [each for each in pairs if NOT_ASSESSABLE not in each[:2]]
    by_patient = matrices_of_patients(usable, labels)
    matrix = by_patient.sum(axis=0)
    draws = _draws(by_patient, seed)
    cuts = {name: above for name, above in CUTS.items() if above in labels}
    return {
        "labels": labels,
        "slides": len(given),
        "patients": len(set(people)),
        "not_assessable": {
            "given": sum(score == NOT_ASSESSABLE for score in given),
            "computed": sum(score == NOT_ASSESSABLE for score in computed),
        },
        "confusion": matrix.tolist(),
        "concordance": _rate(int(np.trace(matrix)), int(matrix.sum())),
        "three_way": _three_way(matrix, labels),
        "kappa": _interval(kappa, matrix, draws),
        "kappa_linear": _interval(_linear, matrix, draws),
        "kappa_quadratic": _interval(_quadratic, matrix, draws),
        "ac1": _interval(gwet_ac1, matrix, draws),
        "cuts": {name: _cut(matrix, draws, labels.index(above)) for name, above in cuts.items()},
        "ultralow_read_as_null": _ultralow_read_as_null(matrix, labels),
        "interval": {"level": LEVEL, "draws": DRAWS, "drawn": "patients", "seed": seed},
    }


def scale_of(
    categories: Sequence[Sequence[str]], *, merge_zero_plus: bool
) -> tuple[list[str], list[list[str]]]:
    """Return the categories that are told apart, and what was said in these."""
    if not merge_zero_plus:
        return list(SCORES), [list(each) for each in categories]
    merged = [["0" if score == "0+" else score for score in each] for each in categories]
    return [score for score in SCORES if score != "0+"], merged


def _linear(matrices: npt.NDArray[Any]) -> Double:
    return kappa(matrices, power=1)


def _quadratic(matrices: npt.NDArray[Any]) -> Double:
    return kappa(matrices, power=2)


def matrices_of_patients(usable: Sequence[tuple[str, str, str]], labels: Sequence[str]) -> Whole:
    """Count (given, computed, patient): a confusion matrix a patient (P, K, K), by their names."""
    slides: dict[str, list[tuple[str, str]]] = {}
    for given, computed, patient in usable:
        slides.setdefault(patient, []).append((given, computed))
    if not slides:
        return np.zeros((0, len(labels), len(labels)), np.int64)
    return np.stack(
        [
            confusion(
                [one for one, _ in slides[patient]], [two for _, two in slides[patient]], labels
            )
            for patient in sorted(slides)
        ]
    )


def _rate(hits: int, n: int) -> dict[str, float | int | None]:
    if not n:
        return {"hits": 0, "n": 0, "value": None, "low": None, "high": None}
    low, high = wilson(hits, n)
    return {"hits": hits, "n": n, "value": hits / n, "low": float(low), "high": float(high)}


def _draws(by_patient: Whole, seed: int) -> Whole | None:
    """Sums over redrawn patients (B, K, K); None where there is nothing to choose from."""
    patients, size, _ = by_patient.shape
    if patients < 2:
        return None
    return redraw(by_patient.reshape(patients, -1), seed=seed).reshape(-1, size, size)


def _interval(
    measure: Callable[[Whole], Double], matrix: Whole, draws: Whole | None
) -> dict[str, float | None]:
    """A measure of the matrix, with the percentiles of its draws that are defined."""
    value = float(measure(matrix)) if matrix.sum() else float("nan")
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if draws is None:
        return {"value": value, "low": None, "high": None}
    many = measure(draws)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(many[np.isfinite(many)], [tail, 100 - tail])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def _fold(matrices: Whole, edges: Sequence[int]) -> Whole:
    """Add up rows and columns (…, K, K) between the edges: (…, len(edges), len(edges))."""
    return np.add.reduceat(np.add.reduceat(matrices, edges, axis=-1), edges, axis=-2)


def _cut(matrix: Whole, draws: Whole | None, at: int) -> dict[str, Any]:
    """Below against from-here-on: overall, positive and negative agreement, kappa, AC1."""
    two = _fold(matrix, [0, at])
    folded = None if draws is None else _fold(draws, [0, at])
    return {
        "confusion": two.tolist(),
        "overall": _rate(int(np.trace(two)), int(two.sum())),
        "positive": _rate(int(two[1, 1]), int(two[1].sum())),
        "negative": _rate(int(two[0, 0]), int(two[0].sum())),
        "kappa": _interval(kappa, two, folded),
        "ac1": _interval(gwet_ac1, two, folded),
    }


def _ultralow_read_as_null(matrix: Whole, labels: list[str]) -> dict[str, Any] | None:
    """Of the slides given as 0+ (HER2-ultralow) those computed as 0; None where 0+ is no label."""
    if "0+" not in labels:
        return None
    given = matrix[labels.index("0+")]
    return _rate(int(given[labels.index("0")]), int(given.sum()))


def _three_way(matrix: Whole, labels: list[str]) -> dict[str, Any]:
    """Negative (0, 0+, 1+), equivocal (2+), positive (3+)."""
    three = _fold(matrix, [0, labels.index("2+"), labels.index("3+")])
    return {
        "confusion": three.tolist(),
        "concordance": _rate(int(np.trace(three)), int(three.sum())),
    }
