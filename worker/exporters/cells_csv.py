"""The measured cells as CSV: one row a cell, the same bytes for the same cells.

The last column is empty: its name carries the research-use statement and the report it belongs to,
so that the file stays a table that any program reads. Numbers and class codes are all it holds, no
words of people: nothing in it begins as a spreadsheet's formula does.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from backend.kit.product import RESEARCH_USE_ONLY
from models.her2 import cells as bits
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from worker.exporters.exporter import ReportFile

Bool = npt.NDArray[np.bool_]
FLAGS = {
    "extra_seed": bits.EXTRA_SEED,
    "shared": bits.SHARED,
    "enclosed": bits.ENCLOSED,
    "edited": bits.OVERRIDDEN,
    "brown_nucleus": bits.BROWN_NUCLEUS,
}
MEASURES = {
    "completeness": ("completeness", 4),
    "own_completeness": ("unshared", 4),
    "intensity_od": ("intensity", 4),
    "cytoplasm_od": ("cytoplasm", 4),
    "nucleus_area_um2": ("area_um2", 2),
    "width_um": ("width_um", 3),
    "gap_degrees": ("gap_degrees", 1),
    "contour_um": ("contour_um", 2),
    "stained_um": ("stained_um", 2),
    "reviewed_um": ("reviewed_um", 2),
}
"""Column of the file: column of Cells, decimals."""
STEP = 50_000


def lines(cells: Cells, included: Bool, *, urn: str) -> Iterator[str]:
    """Yield the file in pieces of whole lines. x, y are level-0 px; `included`: bool (n,)."""
    head = ["cell", "x", "y", "x_um", "y_um", "class", "included", *MEASURES, *FLAGS]
    yield headed(head, urn)
    for start in range(0, len(cells), STEP):
        part = slice(start, start + STEP)
        columns = [
            [str(number) for number in range(start, min(start + STEP, len(cells)))],
            written(cells.x[part], 2),
            written(cells.y[part], 2),
            written(cells.x[part] * cells.mpp, 2),
            written(cells.y[part] * cells.mpp, 2),
            [CLASSES[label] for label in cells.label[part]],
            ["1" if each else "0" for each in included[part]],
            *(written(getattr(cells, name)[part], places) for name, places in MEASURES.values()),
            *(["1" if each else "0" for each in cells.flags[part] & bit] for bit in FLAGS.values()),
        ]
        yield "".join(",".join(row) + ",\r\n" for row in zip(*columns, strict=True))


def headed(names: Sequence[str], urn: str) -> str:
    """Return a table's first line: its columns, and where it comes from."""
    return ",".join([*names, f'"{RESEARCH_USE_ONLY} {urn}"']) + "\r\n"


def written(values: npt.NDArray[np.floating], places: int) -> list[str]:
    return [f"{value:.{places}f}" for value in values.tolist()]


FILE = ReportFile(
    "csv", lambda scene: lines(scene.scored.cells, scene.scored.included, urn=scene.urn)
)
