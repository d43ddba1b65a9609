"""Measured cells in blocks of the slide: read where one looks, replaced where something changed."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from backend.storage.blobs import Blobs

Double = npt.NDArray[np.float64]
Place = tuple[int, int]
BLOCK_UM = 1000.0
"""Side of a block: some thousand cells, and a few of them in a viewport."""
REACH_UM = 4.0
"""A decision belongs to the nearest nucleus, if it is this near."""


class Decided(Protocol):
    """A decision on the nucleus nearest to a place, level-0 px."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


@dataclass(frozen=True)
class CellIndex:
    """Which blob holds which block, and how many cells. `mpp`: level-0 µm per pixel."""

    mpp: float
    blocks: Mapping[Place, tuple[str, int]]

    @classmethod
    def read(cls, content: bytes) -> "CellIndex":
        said = json.loads(content)
        return cls(said["mpp"], {(row, column): (sha, n) for row, column, sha, n in said["blocks"]})

    def document(self) -> bytes:
        blocks = [[*place, *self.blocks[place]] for place in sorted(self.blocks)]
        return json.dumps({"mpp": self.mpp, "blocks": blocks}, separators=(",", ":")).encode()

    @property
    def side(self) -> float:
        """Side of a block, level-0 px."""
        return BLOCK_UM / self.mpp

    def of_box(self, left: float, top: float, right: float, bottom: float) -> list[str]:
        """Return the blobs of the blocks that a box touches, in order."""
        side = self.side
        columns = math.floor(left / side), math.floor(right / side)
        rows = math.floor(top / side), math.floor(bottom / side)
        return [
            self.blocks[place][0]
            for place in sorted(self.blocks)
            if rows[0] <= place[0] <= rows[1] and columns[0] <= place[1] <= columns[1]
        ]


def columns_in(
    blobs: Blobs, index: CellIndex, box: tuple[float, float, float, float], names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return columns of the cells whose nucleus lies in a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    parts = [block(blobs, sha256) for sha256 in index.of_box(*box)]
    found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for part in parts:
        x, y = part["x"], part["y"]
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        for name in names:
            found[name].append(part[name][inside])
    return {name: np.concatenate(some) if some else np.zeros(0) for name, some in found.items()}


def block(blobs: Blobs, sha256: str) -> dict[str, npt.NDArray[Any]]:
    return _block(sha256, blobs.folder.as_posix())


@lru_cache(16)
def _block(sha256: str, folder: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(io.BytesIO(Blobs(Path(folder)).read(sha256)), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def nearest(x: Double, y: Double, mpp: float, decided: Sequence[Decided]) -> list[int | None]:
    """Return for each decision the number of its cell, None where no nucleus is near enough."""
    found: list[int | None] = []
    for each in decided:
        away = np.hypot(x - each.x, y - each.y)
        at = int(away.argmin()) if len(away) else -1
        found.append(at if at >= 0 and away[at] * mpp <= REACH_UM else None)
    return found
