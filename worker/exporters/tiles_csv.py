"""Counts by tile as CSV: one row a tile, what the slide's score and its intervals are made from.

As in the cells' file, the name of the last, empty column carries the statement and the report.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.her2.cells import Cells
from models.her2.classes import CLASSES
from models.her2.pixels import Regions
from models.her2.protocols import Protocol
from worker.exporters.cells_csv import headed
from worker.exporters.exporter import ReportFile, Scene

COLUMNS = ("tile", "x", "y", "x_um", "y_um", "side_um", "tumour_um2", "cells", *CLASSES)
SAID = ("edited", "score", "h_score")


def lines(
    cells: Cells,
    protocol: Protocol,
    regions: Regions,
    shown: Sequence[Mapping[str, Any]],
    *,
    urn: str,
) -> Iterator[str]:
    """Yield the file line by line. x, y: a tile's corner, level-0 px.

    cells: those that count. shown: the document's map of tiles, for each one's own score.
    """
    yield headed([*COLUMNS, *SAID], urn)
    tiles = cells.tile_counts(protocol, regions=regions).in_order()
    assert tiles.area_um2 is not None
    assert tiles.edited is not None
    for number, one in enumerate(shown):
        x_um, y_um = tiles.origin_um[number].tolist()
        row = [
            str(number),
            f"{x_um / cells.mpp:.2f}",
            f"{y_um / cells.mpp:.2f}",
            f"{x_um:.2f}",
            f"{y_um:.2f}",
            f"{tiles.side_um:g}",
            f"{tiles.area_um2[number]:.2f}",
            str(one["cells"]),
            *(str(count) for count in tiles.counts[number].tolist()),
            str(tiles.edited[number]),
            one["score"] or "",
            f"{one['h_score']:.2f}",
        ]
        yield ",".join(row) + ",\r\n"


def write(scene: Scene) -> Iterator[str]:
    scored, on = scene.scored, scene.on
    shown = scored.document["heterogeneity"]["map"]
    cells = scored.cells.take(scored.included)
    return lines(cells, on.protocol, on.regions, shown, urn=scene.urn)


FILE = ReportFile("tiles", write)
