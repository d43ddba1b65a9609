"""What a live score keeps of its measurement, in blobs: a later one goes on from it.

Cells lie in blocks of the slide, so that a local edit writes a few of them; their classes lie apart
from the rest, a byte a cell, since thresholds change them all and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from backend.her2.scores.cells import CellIndex
from backend.kit.storage.blobs import Blobs
from models.canonical import canonical
from models.her2 import connectivity, mask_doubt
from models.her2.blocks import Corner
from models.her2.cells import Cells
from models.her2.evaluated import Tissue
from models.her2.flags import Flag
from models.her2.focus import Seen
from models.her2.quality import quality_flags
from models.her2.tiles import Measured
from models.her2.white_point import Survey
from worker.her2.measurement import Measurement, Opened, put_cells, tissue_of

Double = npt.NDArray[np.float64]
KEPT_BLOCKS = 128


@dataclass(frozen=True)
class Checkpoint:
    """A measurement. `basis` names what all of it stands on, `index` where its cells lie."""

    cells: Cells
    survey: Survey
    blurred: Double
    focus: Mapping[Corner, Seen]
    pieces: connectivity.Blocks
    doubts: mask_doubt.Doubts
    basis: str
    damaged: bool
    index: CellIndex = field(default_factory=lambda: CellIndex(1.0, {}))

    @classmethod
    def read(cls, blobs: Blobs, files: Mapping[str, str], basis: str) -> "Checkpoint | None":
        """Read what is kept; None if it stands on something else."""
        document = json.loads(blobs.read(files["state"]))
        if document["basis"] != basis:
            return None
        index = CellIndex.read(blobs.read(files["cells"]))
        parts = [loaded(sha256, blobs.folder) for sha256, _ in index.blocks.values()]
        whole = Cells.join(parts, index.mpp)
        cells = replace(whole, label=index.labels_of(blobs)).in_order()
        survey = dict(document["survey"])
        survey["white"] = tuple(survey["white"])
        survey["flags"] = tuple(Flag(**flag) for flag in survey["flags"])
        survey["focus"] = float("nan") if survey["focus"] is None else survey["focus"]
        survey["tissue"] = Tissue(**survey["tissue"])
        return cls(
            cells=cells,
            survey=Survey(**survey),
            blurred=np.array(document["blurred"], np.float64).reshape(-1, 2),
            focus={(x, y): Seen(shown) for x, y, shown in document["focus"]},
            pieces={(x, y): (here, long) for x, y, here, long in document["pieces"]},
            doubts={(x, y): (a, b, c) for x, y, a, b, c in document["doubts"]},
            basis=document["basis"],
            damaged=document["damaged"],
            index=index,
        )

    def state(self) -> bytes:
        survey = asdict(self.survey)
        survey["focus"] = None if np.isnan(self.survey.focus) else self.survey.focus
        return canonical(
            {
                "survey": survey,
                "blurred": self.blurred.tolist(),
                "focus": [[*corner, self.focus[corner]] for corner in sorted(self.focus)],
                "pieces": [[*corner, *self.pieces[corner]] for corner in sorted(self.pieces)],
                "doubts": [[*corner, *self.doubts[corner]] for corner in sorted(self.doubts)],
                "basis": self.basis,
                "damaged": self.damaged,
            }
        )

    def measurement(self, on: Opened) -> Measurement:
        measured = Measured(self.cells, self.survey, (), self.blurred, self.focus)
        unsure = mask_doubt.share_of(self.doubts)
        flags = (*quality_flags(measured, on.regions), *mask_doubt.flag_of(unsure))
        connected = connectivity.share_of(self.pieces)
        tissue = tissue_of(on, self.survey)
        return Measurement(self.cells, flags, connected, self.damaged, tissue)


@lru_cache(KEPT_BLOCKS)
def loaded(sha256: str, folder: Path) -> Cells:
    """Read a block of cells; those of the slide that one works on stay in memory."""
    return Cells.load(Blobs(folder).path(sha256))


def store(checkpoint: Checkpoint, area: Any, blobs: Blobs) -> Checkpoint:
    """Store the cells: of the blocks that an area of level-0 px meets, or all where it is None.

    A cell's class is in the index alone.
    """
    cells = checkpoint.cells
    side = CellIndex(cells.mpp, {}).side
    row, column = (np.floor_divide(each, side).astype(np.int64) for each in (cells.y, cells.x))
    order = np.lexsort((column, row))
    places = np.stack([row[order], column[order]], axis=1)
    ends = np.flatnonzero(np.any(np.diff(places, axis=0), axis=1)) + 1
    bare = replace(cells, label=np.zeros_like(cells.label))
    blocks = {}
    for here in np.split(order, ends) if len(order) else []:
        place = int(row[here[0]]), int(column[here[0]])
        top, left = place[0] * side, place[1] * side
        stale = area is None or area.intersects(shapely.box(left, top, left + side, top + side))
        if stale or place not in checkpoint.index.blocks:
            blocks[place] = put_cells(blobs, bare.take(here)), len(here)
        else:
            blocks[place] = checkpoint.index.blocks[place]
    labels = blobs.put(cells.label[order].tobytes())
    return replace(checkpoint, index=CellIndex(cells.mpp, blocks, labels))
