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

from backend.kit.storage.blobs import Blobs

Double = npt.NDArray[np.float64]
Place = tuple[int, int]
BLOCK_UM = 1000.0
"""Side of a block: some thousand cells, and a few of them in a viewport."""
REACH_UM = 4.0
"""A decision belongs to the nearest nucleus, if it is this near."""
NOBODY = np.zeros(0, np.uint8)


class Decided(Protocol):
    """A decision on the nucleus nearest to a place, level-0 px."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


@dataclass(frozen=True)
class CellIndex:
    """Which blob holds which block, and how many cells. `mpp`: level-0 µm per pixel.

    labels: blob of the classes of all cells, uint8, block by block; None where an older version
    wrote them into the blocks.
    """

    mpp: float
    blocks: Mapping[Place, tuple[str, int]]
    labels: str | None = None

    @classmethod
    def read(cls, content: bytes) -> "CellIndex":
        document = json.loads(content)
        blocks = {(row, column): (sha, n) for row, column, sha, n in document["blocks"]}
        return cls(document["mpp"], blocks, document.get("labels"))

    def document(self) -> bytes:
        blocks = [[*place, *self.blocks[place]] for place in sorted(self.blocks)]
        index = {"mpp": self.mpp, "blocks": blocks, "labels": self.labels}
        return json.dumps(index, separators=(",", ":")).encode()

    def labels_of(self, blobs: Blobs) -> npt.NDArray[np.uint8]:
        """Return the class of every cell, block by block."""
        if self.labels is None:
            return np.concatenate(
                [block(blobs, sha256)["label"] for sha256, _ in self.blocks.values()] or [NOBODY]
            )
        return np.frombuffer(blobs.read(self.labels), np.uint8)

    @property
    def side(self) -> float:
        """Side of a block, level-0 px."""
        return BLOCK_UM / self.mpp

    def of_box(self, left: float, top: float, right: float, bottom: float) -> list[Place]:
        """Return the blocks that a box touches, in order."""
        side = self.side
        columns = math.floor(left / side), math.floor(right / side)
        rows = math.floor(top / side), math.floor(bottom / side)
        return [
            place
            for place in sorted(self.blocks)
            if rows[0] <= place[0] <= rows[1] and columns[0] <= place[1] <= columns[1]
        ]

    def classes(self, blobs: Blobs) -> dict[Place, npt.NDArray[np.uint8]]:
        """Return the classes of the cells of each block."""
        places = sorted(self.blocks)
        ends = np.cumsum([self.blocks[place][1] for place in places])[:-1]
        return dict(zip(places, np.split(self.labels_of(blobs), ends), strict=True))


def columns_in(
    blobs: Blobs, index: CellIndex, box: tuple[float, float, float, float], names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return columns of the cells whose nucleus lies in a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    classes = index.classes(blobs) if "label" in names and index.blocks else {}
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for place in index.of_box(*box):
        part = block(blobs, index.blocks[place][0])
        x, y = part["x"], part["y"]
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        for name in names:
            column = classes[place] if name == "label" else part[name]
            parts[name].append(column[inside])
    return {name: np.concatenate(some) if some else np.zeros(0) for name, some in parts.items()}


def block(blobs: Blobs, sha256: str) -> dict[str, npt.NDArray[Any]]:
    return _block(sha256, blobs.folder.as_posix())


@lru_cache(16)
def _block(sha256: str, folder: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(io.BytesIO(Blobs(Path(folder)).read(sha256)), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def nearest(x: Double, y: Double, mpp: float, decided: Sequence[Decided]) -> list[int | None]:
    """Return for each decision the number of its cell, None where no nucleus is near enough.

    Of equally near ones the first. Only the nuclei of a band of REACH_UM above and below are
    looked at.
    """
    reach = REACH_UM / mpp
    order = np.argsort(y, kind="stable")
    rising = y[order]
    wanted = np.array([each.y for each in decided], np.float64)
    first = np.searchsorted(rising, wanted - reach, "left")
    last = np.searchsorted(rising, wanted + reach, "right")
    numbers: list[int | None] = []
    for each, start, end in zip(decided, first.tolist(), last.tolist(), strict=True):
        band = order[start:end]
        away = np.hypot(x[band] - each.x, y[band] - each.y)
        if not len(away) or away.min() * mpp > REACH_UM:
            numbers.append(None)
            continue
        numbers.append(int(band[away == away.min()].min()))
    return numbers
