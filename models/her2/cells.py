"""The measured cells of a slide in columns.

Everything a later stage does (scores, overrides, exports) works on these columns, not on pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from models.her2 import protocols
from models.her2.classes import CLASSES
from models.her2.pixels import Regions
from models.her2.tile_counts import TileCounts, tabulate

Float = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

TILE_UM = 150.0
"""Side of the tiles a score counts on (her2.md §3.8: 100–250 µm)."""
VERTICES = 16
"""Corners of an outline."""

EXTRA_SEED = 1
"""Flag: no nucleus was seen; the cell was found as a hole of the closed membrane mask."""
SHARED = 2
"""Flag: part of the contour belongs to a complete neighbour and was left out."""
ENCLOSED = 4
"""Flag: over 80 % of the contour belongs to complete neighbours, so nothing was left out."""
OVERRIDDEN = 8
"""Flag: a person set this cell's class."""

BROWN_NUCLEUS = 16
"""Flag: the nucleus is browner than the cytoplasm."""

_WIDE = {"x": np.float64, "y": np.float64, "label": np.uint8, "flags": np.uint16}


class Cutoffs(Protocol):
    """What a protocol says of a single cell: intensities in log10 optical density, shares 0–1."""

    @property
    def t_faint(self) -> float: ...
    @property
    def t_weak(self) -> float: ...
    @property
    def t_moderate(self) -> float: ...
    @property
    def t_intense(self) -> float: ...
    @property
    def c_any(self) -> float: ...
    @property
    def c_full(self) -> float: ...


def classify(unshared: Float, intensity: Float, cutoffs: Cutoffs) -> npt.NDArray[np.uint8]:
    """Index into CLASSES from completeness c* and intensity, both (n,) (her2.md §3.7)."""
    steps = [cutoffs.t_faint, cutoffs.t_weak, cutoffs.t_moderate, cutoffs.t_intense]
    level = np.digitize(intensity, steps)
    stained = (unshared >= cutoffs.c_any) & (level > 0)
    complete = unshared >= cutoffs.c_full
    return np.where(stained, 2 * level - 1 + complete, 0).astype(np.uint8)


@dataclass(frozen=True)
class Cells:
    """Tumour cells, one entry a cell in each column. `mpp` is the slide's level-0 µm per pixel.

    Places are the nucleus' centroid in level-0 px; outlines (n, 16, 2) are x, y in level-0 px.
    `completeness` is c, `unshared` c* (her2.md §3.4, §3.6), `intensity` and `cytoplasm` log10
    optical density of DAB, `contour_um` the length of the measured contour, `stained_um` what of
    it is stained and `reviewed_um` what of it, stained or not, lies on a person's mask.
    """

    mpp: float
    x: Double
    y: Double
    area_um2: Float
    completeness: Float
    unshared: Float
    intensity: Float
    cytoplasm: Float
    width_um: Float
    gap_degrees: Float
    contour_um: Float
    stained_um: Float
    reviewed_um: Float
    label: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint16]
    nucleus: Float
    membrane: Float

    def __post_init__(self) -> None:
        for name in column_names():
            column = getattr(self, name)
            if len(column) != len(self.x):
                raise ValueError(f"{name} has {len(column)} entries, x has {len(self.x)}")
            if column.dtype != dtype_of(name):
                raise ValueError(f"{name} must be {dtype_of(name).__name__}, got {column.dtype}")

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def empty(cls, mpp: float) -> Self:
        """No cells of a slide of `mpp` µm per level-0 pixel."""
        columns: dict[str, Any] = {
            name: np.zeros((0, *shape_of(name)), dtype_of(name)) for name in column_names()
        }
        return cls(mpp=mpp, **columns)

    def take(self, which: Index | npt.NDArray[np.bool_]) -> Self:
        """Return the chosen cells, in the order of the indices (or of a bool (n,))."""
        columns: dict[str, Any] = {name: getattr(self, name)[which] for name in column_names()}
        return replace(self, **columns)

    @classmethod
    def join(cls, parts: Sequence[Self], mpp: float) -> Self:
        """Put the cells of several parts behind each other."""
        parts = [part for part in parts if len(part)] or [cls.empty(mpp)]
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in column_names()
        }
        return cls(mpp=mpp, **columns)

    def in_order(self) -> Self:
        """Sort by y, then x: the same cells stand in the same order however they were found."""
        return self.take(np.lexsort((self.x, self.y)))

    def relabelled(self, cutoffs: Cutoffs) -> Self:
        """Classify anew after a change of intensity steps; a person's classes stay."""
        label = classify(self.unshared, self.intensity, cutoffs)
        fixed = (self.flags & OVERRIDDEN) > 0
        return replace(self, label=np.where(fixed, self.label, label).astype(np.uint8))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many cells each of CLASSES has, int64 (9,)."""
        return np.bincount(self.label, minlength=len(CLASSES)).astype(np.int64)

    def tile_counts(
        self,
        protocol: protocols.Protocol,
        *,
        side_um: float = TILE_UM,
        regions: Regions | None = None,
    ) -> TileCounts:
        """Count classes on a grid of `side_um` µm that starts at the slide's corner.

        regions: for each tile's area of tumour, from which the density of cells is told.
        """
        edited = (self.flags & OVERRIDDEN) > 0
        tiles = tabulate(
            np.stack([self.x, self.y], axis=1) * self.mpp,
            self.label,
            side_um=side_um,
            protocol=protocol,
            intensity=self.intensity,
            cytoplasm=self.cytoplasm,
            width_um=self.width_um,
            contour_um=self.contour_um,
            # a person's class is a person's word on the whole cell
            reviewed_um=np.where(edited, self.contour_um, self.reviewed_um),
            edited=edited,
            obscured=(self.label == 0) & (self.cytoplasm >= protocol.t_weak) & ~edited,
        )
        if regions is None:
            return tiles
        corner = tiles.origin_um / self.mpp
        area_px = regions.areas(corner, corner + side_um / self.mpp)
        return replace(tiles, area_um2=area_px * self.mpp**2)

    def save(self, path: Path) -> None:
        """Write all columns as one .npz, about 330 bytes a cell with outlines."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in column_names()}
        with path.open("wb") as file:
            np.savez(file, mpp=np.float64(self.mpp), **columns)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; ValueError if columns are missing."""
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("mpp", *column_names()) if name not in file]
            if missing:
                raise ValueError(f"{path.name} is no file of cells: {', '.join(missing)} missing")
            columns: dict[str, Any] = {name: file[name] for name in column_names()}
            return cls(mpp=float(file["mpp"]), **columns)


def column_names() -> tuple[str, ...]:
    return tuple(each.name for each in fields(Cells) if each.name != "mpp")


def dtype_of(name: str) -> Any:
    return _WIDE.get(name, np.float32)


def shape_of(name: str) -> tuple[int, ...]:
    return (VERTICES, 2) if name in {"nucleus", "membrane"} else ()
