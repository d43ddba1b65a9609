"""Completeness and intensity of cells from their rays, and the rule for shared membranes.

A membrane between a stained cell and a negative one belongs to both as far as pixels go. Without
the rule isolated strong cells turn their neighbours into a false 2+ (her2.md finding 3, §3.6).
Contour shared with a complete neighbour, or with one that is stained much farther round, is left
out of the judgement: shares of the rest stay unbiased, whoever the neighbour is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.her2.optical_density import STEP
from models.her2.rays import RAYS, Profiles, median

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]
Label = npt.NDArray[np.int32]

ROUNDS = 2
LEAST_UNSHARED = 0.2
LOOSE = 1.25
FARTHER = 0.15
"""A neighbour stained over this much more of its contour explains what is shared with it."""


@dataclass(frozen=True)
class Contours:
    """Measures of n cells, float32 (n,): shares 0–1, log10 optical density, degrees.

    `enclosed` marks cells with too little contour of their own to judge: they keep c.
    """

    completeness: Float
    unshared: Float
    intensity: Float
    gap_degrees: Float
    shared: Bool
    enclosed: Bool


def close_gaps(hit: Bool) -> Bool:
    """Fill gaps of one ray between two hits round the cell: bool (n, RAYS)."""
    return hit | (np.roll(hit, 1, axis=1) & np.roll(hit, -1, axis=1))


def largest_gap(hit: Bool) -> Float:
    """Widest angle without a hit, in degrees: float32 (n,)."""
    run = np.zeros(len(hit), np.int16)
    longest = run.copy()
    for ray in (*range(RAYS), *range(RAYS)):
        run = np.where(hit[:, ray], 0, run + 1).astype(np.int16)
        np.maximum(longest, run, out=longest)
    return np.minimum(longest, RAYS).astype(np.float32) * np.float32(360 / RAYS)


def _lengths(profiles: Profiles) -> Float:
    """How much contour each ray stands for: its radius, float32 (n, RAYS).

    Where nothing is hit the ground's end stands in; a cell that lies loosely has ground far beyond
    its membrane, so no more than a quarter over its usual radius counts.
    """
    at = np.maximum(profiles.at, 1).astype(np.float32)
    usual = (at * profiles.hit).sum(axis=1) / np.maximum(profiles.hit.sum(axis=1), 1)
    most = np.where(usual > 0, LOOSE * usual, np.inf).astype(np.float32)
    return np.where(profiles.hit, at, np.minimum(at, most[:, None])).astype(np.float32)


def with_neighbours(
    cells: Index, numbers: Label, traced: Callable[[Index], Profiles]
) -> tuple[Index, Profiles]:
    """Trace cells, given as places in `numbers`, and all that the sharing rule asks of them.

    Each round asks the neighbours of the one before, so those of ROUNDS steps follow behind.
    """
    which, parts = [cells], [traced(cells)]
    visited = np.zeros(len(numbers), np.bool_)
    for _ in range(ROUNDS):
        visited[which[-1]] = True
        which.append(np.flatnonzero(np.isin(numbers, parts[-1].neighbour) & ~visited))
        parts.append(traced(which[-1]))
    return np.concatenate(which), Profiles.join(parts)


def contours(
    profiles: Profiles, numbers: Label, c_full: float, count: int | None = None
) -> Contours:
    """Measure cells numbered `numbers` (n,) by their profiles; two rounds of the sharing rule.

    count: only the first so many, whose neighbours the others are.
    """
    hit = close_gaps(profiles.hit)
    length = _lengths(profiles)
    weight = length / length.sum(axis=1, keepdims=True)
    completeness = (weight * hit).sum(axis=1)
    row_of = np.full(int(max(numbers.max(initial=0), profiles.neighbour.max(initial=0))) + 1, -1)
    row_of[numbers] = np.arange(len(numbers))
    neighbour = np.where(profiles.neighbour > 0, row_of[profiles.neighbour], -1)
    own = completeness
    away = np.zeros_like(hit)
    enclosed = np.zeros(len(hit), np.bool_)
    for _ in range(ROUNDS):
        theirs = np.append(own, np.float32(-1))[neighbour]  # the last stands for no neighbour
        explained = (theirs >= c_full) | (theirs > own[:, None] + FARTHER)
        away = explained & (own < c_full)[:, None]
        left = (weight * ~away).sum(axis=1)
        enclosed = left < LEAST_UNSHARED
        rest = (weight * (hit & ~away)).sum(axis=1) / np.maximum(left, 1e-6)
        own = np.where(enclosed, completeness, rest).astype(np.float32)
    counted = profiles.hit & ~(away & ~enclosed[:, None])
    peak = np.where(counted, np.minimum(profiles.peak, 254), 255)[:count].astype(np.uint8)
    intensity = median(peak)
    return Contours(
        completeness=completeness[:count].astype(np.float32),
        unshared=own[:count],
        intensity=np.where(intensity == 255, 0, intensity).astype(np.float32) * np.float32(STEP),
        gap_degrees=largest_gap(hit[:count]),
        shared=(away.any(axis=1) & ~enclosed)[:count],
        enclosed=enclosed[:count],
    )
