"""Where on the slide the staining is: a map of tiles scored by the slide's own rule (her2.md §3.8).

Moran's I with queen neighbours says whether like lies beside like; connected tiles of mostly
intense complete cells beside areas below 3+ are the clustered heterogeneity that CAP asks about.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.her2.classes import INDEX, INTENSITY_OF, SCORES
from models.her2.decision import decide, rows
from models.her2.protocols import Protocol
from models.her2.tile_counts import TileCounts

TILE_CELLS = 20
"""Fewer cells and a tile has no score of its own."""
POPULATION_UM2 = 100_000.0
"""A distinct 3+ population covers at least 0.1 mm²."""

# faint counts as weak; whether the membrane is complete does not matter (her2.md §2)
H_WEIGHTS = np.array([0, 1, 1, 2, 3])[list(INTENSITY_OF)]

Double = npt.NDArray[np.float64]
Pairs = npt.NDArray[np.intp]


def h_scores(counts: npt.NDArray[np.integer]) -> Double:
    """1·%weak + 2·%moderate + 3·%intense, 0 to 300, of each line of counts (…, 9); empty: 0."""
    total = np.maximum(counts.sum(axis=-1), 1)
    return np.asarray(100.0 * (counts @ H_WEIGHTS) / total, np.float64)


def neighbours(origin_um: Double, side_um: float) -> Pairs:
    """Find pairs (P, 2) of tiles that share a side or a corner: the queen's moves, each once."""
    if not len(origin_um):
        return np.zeros((0, 2), np.intp)
    place = np.rint((origin_um - origin_um.min(axis=0)) / side_um).astype(np.int64) + 1
    width = int(place[:, 0].max()) + 2
    key = place[:, 1] * width + place[:, 0]
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    pairs = []
    for step in (1, width - 1, width, width + 1):
        at = np.minimum(np.searchsorted(ranked, key + step), len(key) - 1)
        hit = ranked[at] == key + step
        pairs.append(np.stack([np.flatnonzero(hit), order[at[hit]]], axis=1))
    return np.concatenate(pairs)


def moran(values: Double, pairs: Pairs) -> float | None:
    """Moran's I (1950) of values (T,) with weight 1 for each pair, both ways.

    I = T / W · Σ w z_i z_j / Σ z². None where nothing varies or nothing is beside another.
    """
    z = values - values.mean() if len(values) else values
    spread = float(z @ z)
    if not len(pairs) or spread <= 1e-9 * max(len(values), 1):
        return None
    return float(len(values) / len(pairs) * (z[pairs[:, 0]] @ z[pairs[:, 1]]) / spread)


def describe(tiles: TileCounts, protocol: Protocol) -> dict[str, Any]:
    """Make the block "heterogeneity" of the score document (her2_contract.md).

    share_3plus is the percentage of all cells that lie in a distinct 3+ population; rest_score is
    the score of all others. Both are None where there is no such population: neither is computed,
    and 0 % would read as a slide without a 3+ cell. sd_h weighs tiles by cells.
    """
    total = tiles.counts.sum(axis=1)
    scored = total >= TILE_CELLS
    h = h_scores(tiles.counts)
    scored_tiles = tiles.take(np.flatnonzero(scored))
    population = np.zeros(len(tiles), bool)
    population[scored] = _population(scored_tiles)
    rest = tiles.take(np.flatnonzero(~population))
    rest_score = _score(rest, protocol) if population.any() else None
    cells = int(total.sum())
    return {
        "moran": _rounded(
            moran(h[scored], neighbours(scored_tiles.origin_um, tiles.side_um))
            if len(scored_tiles)
            else None
        ),
        "mean_h": _rounded(_mean(h[scored], total[scored])),
        "sd_h": _rounded(_spread(h[scored], total[scored])),
        "clustered": rest_score in SCORES[:-1],
        "share_3plus": round(100 * int(total[population].sum()) / cells, 4)
        if population.any()
        else None,
        "rest_score": rest_score,
        "tile_um": tiles.side_um,
        "map": _map(tiles, h, scored, protocol),
    }


def _population(tiles: TileCounts) -> npt.NDArray[np.bool_]:
    """Mark tiles (T,) of connected groups of mostly intense complete cells, large enough."""
    intense = 2 * tiles.counts[:, INDEX["IC"]] > tiles.counts.sum(axis=1)
    pairs = neighbours(tiles.origin_um, tiles.side_um)
    pairs = pairs[intense[pairs].all(axis=1)]
    graph = coo_array(
        (np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(tiles),) * 2
    )
    group = connected_components(graph, directed=False)[1] if len(tiles) else np.zeros(0, int)
    area = np.full(len(tiles), tiles.side_um**2) if tiles.area_um2 is None else tiles.area_um2
    sizes = np.bincount(group, area * intense, minlength=len(tiles))
    return np.asarray(intense & (sizes[group] >= POPULATION_UM2))


def _score(tiles: TileCounts, protocol: Protocol) -> str:
    clustered = None if tiles.clustered is None else tiles.clustered.sum(axis=0)
    counts = tiles.counts.sum(axis=0, dtype=np.int64)
    return decide(counts, protocol, clustered=clustered).score


def _map(
    tiles: TileCounts, h: Double, scored: npt.NDArray[np.bool_], protocol: Protocol
) -> list[dict[str, Any]]:
    table = protocol.table
    counts = tiles.counts.astype(np.int64)
    clustered = None if tiles.clustered is None else tiles.clustered.astype(np.int64)
    row_numbers = rows(counts, protocol, clustered)
    total = counts.sum(axis=1)
    intense = 100.0 * counts[:, INDEX["IC"]] / np.maximum(total, 1)
    stained = 100.0 * (total - counts[:, INDEX["N"]]) / np.maximum(total, 1)
    columns = zip(
        tiles.origin_um.tolist(),
        total.tolist(),
        row_numbers.tolist(),
        scored.tolist(),
        h.round(2).tolist(),
        intense.round(2).tolist(),
        stained.round(2).tolist(),
        strict=True,
    )
    return [
        {
            "x_um": place[0],
            "y_um": place[1],
            "cells": cells,
            "score": table[row].score if enough else None,
            "h_score": level,
            "intense_complete": strong,
            "stained": any_stain,
        }
        for place, cells, row, enough, level, strong, any_stain in columns
    ]


def _mean(values: Double, weights: npt.NDArray[np.integer]) -> float | None:
    return float(np.average(values, weights=weights)) if len(values) else None


def _spread(values: Double, weights: npt.NDArray[np.integer]) -> float | None:
    mean = _mean(values, weights)
    if mean is None:
        return None
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
