"""Readers against each other, and the computed category in a reader's place (her2.md §5).

Nobody knows the true category: what can be asked is whether the computed one agrees with the other
readers as well as a reader does, on the same slides.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.her2.agreement import kappa, matrices_of_patients, scale_of
from models.her2.classes import NOT_ASSESSABLE
from models.her2.intervals import LEVEL, redraw

MARGIN = -0.05
"""So much less kappa than a reader's is still as good as a reader."""
UNKNOWN = {"", NOT_ASSESSABLE}


def consensus(votes: Sequence[str]) -> str | None:
    """Return the most frequent category; None where two are, or where nobody gave one."""
    ordered = Counter(vote for vote in votes if vote).most_common(2)
    if not ordered or (len(ordered) == 2 and ordered[0][1] == ordered[1][1]):
        return None
    return ordered[0][0]


def compare_readers(
    readers: Mapping[str, Sequence[str]],
    computed: Sequence[str],
    patients: Sequence[str],
    *,
    merge_zero_plus: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Put each reader, and the computed category, against the consensus of the other readers.

    readers: by name, a category a slide, "" where none was given. Counted are slides on which the
    reader, the others' consensus and the computed category are known. The difference of kappas
    (computed less reader) has an interval over redrawn patients; above MARGIN all of it, the
    computed category is as good as this reader.
    """
    labels, (machine, *readings) = scale_of(
        [computed, *readers.values()], merge_zero_plus=merge_zero_plus
    )
    return {
        name: _in_place_of(
            own,
            [each for each in readings if each is not own],
            machine,
            patients,
            labels,
            seed,
        )
        for name, own in zip(readers, readings, strict=True)
    }


def _in_place_of(
    own: Sequence[str],
    others: Sequence[Sequence[str]],
    computed: Sequence[str],
    patients: Sequence[str],
    labels: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    rest = [consensus([each[slide] for each in others]) for slide in range(len(own))]
    known = [
        (one, str(theirs), machine, patient)
        for one, theirs, machine, patient in zip(own, rest, computed, patients, strict=True)
        if theirs is not None and not {one, theirs, machine} & UNKNOWN
    ]
    comparison: dict[str, Any] = {"slides": len(known), "margin": MARGIN}
    tables = np.stack(
        [
            matrices_of_patients([(row[1], row[which], row[3]) for row in known], labels)
            for which in (0, 2)
        ],
        axis=1,
    )
    count, _, size, _ = tables.shape
    draws = None
    if count > 1:
        draws = redraw(tables.reshape(count, -1), seed=seed).reshape(-1, 2, size, size)
    tail = 50 * (1 - LEVEL)
    for name, power in (("kappa", 0), ("kappa_quadratic", 2)):
        reader, machine = kappa(tables.sum(axis=0), power=power) if count else (np.nan, np.nan)
        away = machine - reader
        if not np.isfinite(away):
            comparison[name] = dict.fromkeys(
                ("reader", "computed", "difference", "low", "high", "as_good")
            )
            continue
        low = high = None
        if draws is not None:
            both = kappa(draws, power=power)
            many = both[:, 1] - both[:, 0]
            ends = np.percentile(many[np.isfinite(many)], [tail, 100 - tail])
            low, high = min(float(ends[0]), float(away)), max(float(ends[1]), float(away))
        comparison[name] = {
            "reader": float(reader),
            "computed": float(machine),
            "difference": float(away),
            "low": low,
            "high": high,
            "as_good": None if low is None else low > MARGIN,
        }
    return comparison
