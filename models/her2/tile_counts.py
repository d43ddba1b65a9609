"""Cells by tile: the only state of a slide's score (her2.md §3.8).

An edit changes a few rows of this table; everything that slide_score says is made from it.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.her2.classes import CLASSES
from models.her2.clusters import contiguous_intense, in_clusters
from models.her2.protocols import Protocol

Double = npt.NDArray[np.float64]
Int = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TileCounts:
    """Counts int32 (T, 9) on tiles of `side_um`, whose corners x, y are origin_um (T, 2), in µm.

    What else a tile may know, each (T, …) or None where nobody measured it:
    contour_um, reviewed_um: the cells' contour, and how much of it a person has judged.
    od_sum: sum of the intensity (log10 optical density) over the stained cells; likewise
    cytoplasm_sum of the cytoplasm's density, and width_sum of the membrane's width, µm.
    edited: cells that a person added or whose class a person set.
    obscured: negative cells whose cytoplasm is as brown as a weak membrane, which it would hide.
    area_um2: evaluated tumour in the tile.
    clustered (T, levels): cells lying in clusters, for each of Protocol.cluster_levels.
    intense_clustered: intense complete cells that lie among others (clusters.INTENSE).
    """

    counts: Int
    origin_um: Double
    side_um: float
    contour_um: Double | None = None
    reviewed_um: Double | None = None
    od_sum: Double | None = None
    cytoplasm_sum: Double | None = None
    width_sum: Double | None = None
    edited: Int | None = None
    obscured: Int | None = None
    area_um2: Double | None = None
    clustered: Int | None = None
    intense_clustered: Int | None = None

    def __post_init__(self) -> None:
        tiles = len(self.counts)
        if self.counts.shape != (tiles, len(CLASSES)) or self.origin_um.shape != (tiles, 2):
            raise ValueError("counts are (T, 9) and origin_um (T, 2)")
        if self.counts.dtype.kind not in "iu" or (self.counts < 0).any():
            raise ValueError("counts are whole numbers, none negative")
        if not self.side_um > 0:
            raise ValueError(f"side_um must be positive, got {self.side_um}")
        for name, column in self._columns():
            if len(column) != tiles:
                raise ValueError(f"{name} has {len(column)} rows, counts {tiles}")

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, which: npt.NDArray[Any]) -> Self:
        """Return the chosen tiles, in the order of the indices (or of a bool (T,))."""
        columns: dict[str, Any] = {name: column[which] for name, column in self._columns()}
        return type(self)(side_um=self.side_um, **columns)

    def in_order(self) -> Self:
        """Drop empty tiles and sort by place: one table, however its rows were found."""
        full = self.take(np.flatnonzero(self.counts.any(axis=1)))
        keys = (*full.counts.T[::-1], full.origin_um[:, 0], full.origin_um[:, 1])
        return full.take(np.lexsort(keys))

    def _columns(self) -> list[tuple[str, npt.NDArray[Any]]]:
        every = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [(name, value) for name, value in every if isinstance(value, np.ndarray)]


def tabulate(
    points_um: Double,
    label: npt.NDArray[np.uint8],
    *,
    side_um: float,
    protocol: Protocol,
    intensity: npt.NDArray[np.floating] | None = None,
    cytoplasm: npt.NDArray[np.floating] | None = None,
    width_um: npt.NDArray[np.floating] | None = None,
    contour_um: npt.NDArray[np.floating] | None = None,
    reviewed_um: npt.NDArray[np.floating] | None = None,
    edited: npt.NDArray[np.bool_] | None = None,
    obscured: npt.NDArray[np.bool_] | None = None,
) -> TileCounts:
    """Count the cells of a slide on a grid that starts at its corner.

    points_um: x, y of the nuclei (n, 2). label: index into CLASSES (n,). The others, one entry a
    cell, are optional and become the columns of TileCounts.
    """
    column, row = np.floor(points_um / side_um).astype(np.int64).T
    width = int(column.max(initial=0)) + 1
    places, tile = np.unique(row * width + column, return_inverse=True)
    tiles, classes = len(places), len(CLASSES)

    def total(values: npt.NDArray[Any]) -> Double:
        return np.bincount(tile, values, tiles).astype(np.float64)

    def of_stained(values: npt.NDArray[Any] | None) -> Double | None:
        return None if values is None else total(np.where(label > 0, values, 0))

    def number(members: npt.NDArray[np.bool_]) -> Int:
        return np.bincount(tile[members], minlength=tiles).astype(np.int32)

    together = in_clusters(points_um, label, protocol)
    counts = np.bincount(tile * classes + label, minlength=tiles * classes)
    return TileCounts(
        counts=counts.reshape(tiles, classes).astype(np.int32),
        origin_um=np.stack([places % width, places // width], axis=1) * side_um,
        side_um=side_um,
        contour_um=None if contour_um is None else total(contour_um),
        reviewed_um=None if reviewed_um is None else total(reviewed_um),
        od_sum=of_stained(intensity),
        cytoplasm_sum=of_stained(cytoplasm),
        width_sum=of_stained(width_um),
        edited=None if edited is None else number(edited),
        obscured=None if obscured is None else number(obscured),
        clustered=np.stack([number(level) for level in together.T], axis=1)
        if protocol.clusters is not None
        else None,
        intense_clustered=number(contiguous_intense(points_um, label)),
    )
