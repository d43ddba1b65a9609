"""From counts by tile to the score document, from which every report and export is made.

No pixels and no state: the same tiles, protocol, flags and seed give the same document, byte for
byte, in whatever order the tiles come; fast enough to follow a person's edit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models.her2.classes import CLASSES, GROUPS, INDEX, NOT_ASSESSABLE, SCORES
from models.her2.decision import Verdict, categories, decide, needed
from models.her2.flags import Flag, ordered
from models.her2.heterogeneity import describe, h_scores
from models.her2.intervals import DRAWS, LEVEL, bounds, redraw, wilson
from models.her2.protocols import Protocol
from models.her2.remarks import remarks
from models.her2.tile_counts import TileCounts, tabulate

__all__ = ["TileCounts", "summarise", "tabulate"]

SCHEMA = "membrana.her2/2"
CLEAR = 0.01
"""Of the membrane's density: cytoplasm below it has none that a ratio could stand on."""
RESEARCH_USE_ONLY = "For Research Use Only. Not for use in diagnostic procedures."

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Drawn:
    """Redrawn slides: counts (B, 9), and cells in clusters (B, levels) where tiles have them."""

    counts: Whole
    clustered: Whole | None


def summarise(
    tiles: TileCounts,
    protocol: Protocol,
    *,
    flags: Iterable[Flag] = (),
    seed: int = 0,
    connectivity: float | None = None,
) -> dict[str, Any]:
    """Make the score document (her2_contract.md) without its "provenance".

    flags: what was seen before (slide, regions, measurement); fatal ones leave no score. seed: of
    the bootstrap, taken from the slide's sha256 so that a rerun is identical. Percentages have
    intervals of 95 %: the tile bootstrap's, widened to Wilson's where that reaches further, since
    no draw of tiles can ever show a class that none of them holds. Values are None where there is
    no cell. Raises ProtocolError for a protocol with clusters and tiles without.
    """
    tiles = tiles.in_order()
    if not len(tiles) and protocol.clusters is not None:
        tiles = replace(tiles, clustered=np.zeros((0, len(protocol.cluster_levels)), np.int32))
    given = tuple(flags)
    counts = tiles.counts.sum(axis=0, dtype=np.int64)
    clustered = None if tiles.clustered is None else tiles.clustered.sum(axis=0, dtype=np.int64)
    barred = [flag.code for flag in given if flag.severity != "warning"]
    verdict = decide(counts, protocol, barred=barred, clustered=clustered)
    drawn = _draw(tiles, seed)
    probability = _probability(drawn, protocol, barred)
    heterogeneity = describe(tiles, protocol)
    derived = remarks(tiles, protocol, verdict, probability, heterogeneity)
    return {
        "schema": SCHEMA,
        "research_use_only": RESEARCH_USE_ONLY,
        "protocol": _protocol(protocol),
        "score": verdict.score,
        "reason": verdict.reason,
        "reason_text": _words(verdict, protocol),
        "printed_score": verdict.printed(protocol),
        "among": list(verdict.among),
        "ish_required": verdict.asks_for_ish(protocol),
        "flags": [flag.document() for flag in ordered((*given, *verdict.flags, *derived))],
        "cells": int(counts.sum()),
        "tiles": len(tiles),
        "counts": dict(zip(CLASSES, counts.tolist(), strict=True)),
        "percent": _percent(counts, drawn, protocol),
        "probability": probability,
        "distance": _distance(counts, clustered, protocol),
        "h_score": _h_score(counts, drawn),
        "connectivity": connectivity,
        "membrane_od": _mean_of_stained(tiles.od_sum, counts),
        "membrane_width_um": _mean_of_stained(tiles.width_sum, counts),
        "membrane_cytoplasm_ratio": _ratio(tiles),
        "heterogeneity": heterogeneity,
        "reviewed_share": _reviewed(tiles),
        "edited_cells": None if tiles.edited is None else int(tiles.edited.sum()),
        "interval": {
            "level": LEVEL,
            "draws": DRAWS,
            "drawn": "tiles" if len(tiles) > 1 else "cells",
            "seed": seed,
        },
    }


def _draw(tiles: TileCounts, seed: int) -> _Drawn:
    counts = tiles.counts.astype(np.int64)
    levels = None if tiles.clustered is None else tiles.clustered.astype(np.int64)
    if len(tiles) > 1:
        table = counts if levels is None else np.concatenate([counts, levels], axis=1)
        sums = redraw(table, seed=seed)
        width = len(CLASSES)
        return _Drawn(sums[:, :width], None if levels is None else sums[:, width:])
    # one tile cannot be drawn otherwise: its cells are, and `tiles_lt_30` says what that is worth
    total = counts.sum(axis=0)
    share = total / max(int(total.sum()), 1)
    share[0] = max(0.0, share[0] + 1 - share.sum())  # rounding may leave less than nothing
    sums = np.random.default_rng(seed).multinomial(int(total.sum()), share, DRAWS)
    if levels is None:
        return _Drawn(sums, None)
    return _Drawn(sums, np.broadcast_to(levels.sum(axis=0), (DRAWS, levels.shape[1])))


def _probability(drawn: _Drawn, protocol: Protocol, barred: Sequence[str]) -> dict[str, float]:
    """How often a redrawn slide gets each score, by the rule of decide()."""
    scores = categories(drawn.counts, protocol, barred=barred, clustered=drawn.clustered)
    return {score: float((scores == score).mean()) for score in (*SCORES, NOT_ASSESSABLE)}


def _percent(counts: Whole, drawn: _Drawn, protocol: Protocol) -> dict[str, dict[str, Any]]:
    """Percentages of the classes and of groups of them, the protocol's among these."""
    sets = {name: (name,) for name in CLASSES} | dict(GROUPS) | dict(protocol.groups)
    member = np.zeros((len(CLASSES), len(sets)), np.int64)
    for column, names in enumerate(sets.values()):
        member[[INDEX[name] for name in names], column] = 1
    total = int(counts.sum())
    if not total:
        return {name: {"value": None, "low": None, "high": None} for name in sets}
    cells = counts @ member
    sizes = np.maximum(drawn.counts.sum(axis=1), 1)
    low, high = bounds(drawn.counts @ member / sizes[:, None])
    least, most = wilson(cells, total)
    values = zip(
        (100.0 * cells / total).round(4).tolist(),
        (100.0 * np.minimum(low, least)).round(4).tolist(),
        (100.0 * np.maximum(high, most)).round(4).tolist(),
        strict=True,
    )
    return {
        name: {"value": value, "low": low_, "high": high_}
        for name, (value, low_, high_) in zip(sets, values, strict=True)
    }


def _distance(counts: Whole, clustered: Whole | None, protocol: Protocol) -> list[dict[str, Any]]:
    """For each test of the table: how far it is from turning over, all other cells as they are."""
    total = int(counts.sum())
    distances: list[dict[str, Any]] = []
    level = 0
    for row in protocol.table:
        if row.when not in {"over", "seen", "clustered"} or not total:
            continue
        now = int(counts[list(protocol.columns(row))].sum())
        if row.when == "clustered" and clustered is not None:
            now = int(clustered[level])
            level += 1
        least = int(needed(row, np.asarray([total]), protocol)[0])
        cut = float(protocol.cut_percent) if row.when == "over" else round(100 * least / total, 4)
        distances.append(
            {
                "test": row.reason,
                "score": row.score,
                "percent_now": round(100 * now / total, 4),
                "threshold": cut,
                "passed": now >= least,
                "cells_now": now,
                "cells_needed": least,
                "cells_to_flip": now - least + 1 if now >= least else least - now,
            }
        )
    return distances


def _h_score(counts: Whole, drawn: _Drawn) -> dict[str, float | None]:
    if not counts.sum():
        return {"value": None, "low": None, "high": None}
    value = float(h_scores(counts))
    low, high = bounds(h_scores(drawn.counts)[:, None])
    return {
        "value": round(value, 4),
        "low": round(min(value, float(low[0])), 4),
        "high": round(max(value, float(high[0])), 4),
    }


def _mean_of_stained(sums: npt.NDArray[np.float64] | None, counts: Whole) -> float | None:
    """Mean over the stained cells of what each tile has summed; None where there are none."""
    stained = int(counts.sum()) - int(counts[INDEX["N"]])
    return None if sums is None or not stained else round(float(sums.sum()) / stained, 4)


def _ratio(tiles: TileCounts) -> float | None:
    """DAB of the stained cells' membranes over that of their cytoplasm, both as mean log10 optical
    density. None without stained cells, or where the cytoplasm is as clear as glass.
    """
    if tiles.od_sum is None or tiles.cytoplasm_sum is None:
        return None
    membrane, cytoplasm = float(tiles.od_sum.sum()), float(tiles.cytoplasm_sum.sum())
    return round(membrane / cytoplasm, 4) if cytoplasm >= CLEAR * membrane > 0 else None


def _reviewed(tiles: TileCounts) -> float | None:
    """Share of the cells' contour, stained or not, that a person has judged; the rest of the score
    rests on proposals. None where there is no cell.
    """
    if tiles.contour_um is None or tiles.reviewed_um is None or not tiles.contour_um.sum():
        return None
    return round(float(tiles.reviewed_um.sum() / tiles.contour_um.sum()), 4)


def _protocol(protocol: Protocol) -> dict[str, Any]:
    calibration = protocol.calibration
    return {
        "name": protocol.name,
        "version": protocol.version,
        "sha256": protocol.sha256,
        "title": protocol.title,
        "gap": protocol.gap,
        "merge_zero_plus": protocol.merge_zero_plus,
        "calibrated": None
        if calibration is None
        else {"on": calibration.on, "sha256": calibration.sha256},
        "thresholds": {
            **protocol.thresholds,
            "cut": f"{protocol.comparator} {protocol.cut_percent} %",
            "floor_percent": protocol.floor_permille / 10,
            "floor_cells": protocol.floor_cells,
            "min_cells": protocol.min_cells,
        },
    }


def _words(verdict: Verdict, protocol: Protocol) -> str:
    """Say the reason as a sentence: the table's words, or those of the flag that barred it."""
    details = {flag.code: flag.detail for flag in verdict.flags}
    return protocol.words.get(verdict.reason) or details[verdict.reason]
