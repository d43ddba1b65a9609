"""What the measured cells say about the worth of their own measuring: flags for the report."""

from collections.abc import Iterator

import numpy as np
import shapely

from models.her2 import focus
from models.her2.cells import BROWN_NUCLEUS, Cells
from models.her2.flags import Flag
from models.her2.pixels import Regions
from models.her2.tiles import Measured

COARSEST_MPP = 0.35
RIM_UM = 200.0
_BROWN_SHARE = 0.3
_CYTOPLASM = 0.5
_EDGE = 0.15
_ENOUGH = 100
_SAMPLE = 20_000


def quality_flags(measured: Measured, regions: Regions) -> tuple[Flag, ...]:
    """Return the survey's flags and those of the cells (her2.md §3.9)."""
    return (*measured.survey.flags, *_of_cells(measured, regions))


def _of_cells(measured: Measured, regions: Regions) -> Iterator[Flag]:
    cells = measured.cells
    if regions.empty:
        yield Flag("no_tumour_region")
    if cells.mpp > COARSEST_MPP:
        yield Flag(
            "resolution",
            f"A pixel is {cells.mpp:.2f} µm wide; above {COARSEST_MPP} µm the low categories can't "
            "be told apart.",
        )
    yield from focus.flag_of(focus.share_of(measured.focus), len(measured.blurred))
    if not len(cells):
        return
    brown = float(np.mean((cells.flags & BROWN_NUCLEUS) > 0))
    if brown > _BROWN_SHARE:
        yield Flag("nuclear_brown", f"{100 * brown:.0f} % of the nuclei are brown.")
    stained = cells.take(cells.label > 0)
    if len(stained):
        ratio = float(np.median(stained.cytoplasm / np.maximum(stained.intensity, 1e-3)))
        if ratio > _CYTOPLASM:
            yield Flag(
                "cytoplasm", f"The cytoplasm is {100 * ratio:.0f} % as brown as the membrane."
            )
    edge = edge_effect(cells, regions)
    if edge is not None and abs(edge) > _EDGE:
        more = "more" if edge > 0 else "fewer"
        yield Flag(
            "edge_effect",
            f"In the outer {RIM_UM:.0f} µm {100 * abs(edge):.0f} of 100 cells {more} are stained "
            "than inside.",
        )


def edge_effect(cells: Cells, regions: Regions) -> float | None:
    """Share of stained cells in the region's outer 200 µm less that inside; None for few cells."""
    some = cells.take(np.arange(0, len(cells), max(1, len(cells) // _SAMPLE)))
    outline = shapely.boundary(regions.tumour)
    shapely.prepare(outline)
    distance = shapely.distance(outline, shapely.points(some.x, some.y)) * some.mpp
    rim = distance < RIM_UM
    if rim.sum() < _ENOUGH or (~rim).sum() < _ENOUGH:
        return None
    stained = some.label > 0
    return float(stained[rim].mean() - stained[~rim].mean())
