"""Masks of a slide as an OME-Zarr 0.5 label pyramid on the analysis grid, for a zip.

Values are the masks' own: 255 membrane, 127 ignore; 0 is where there is none, or where nobody has
looked: the manifest lists the patches that were. A chunk is a patch, and is written as it comes;
coarser levels are made on the way, so that only one row of chunks of each is in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.exchange.masks.archive import Entry
from backend.exchange.masks.contents import Item
from backend.exchange.masks.format import Archive, Source
from backend.exchange.masks.manifest import Manifest
from backend.kit.geometry import SizePx
from backend.kit.storage import shard_files
from backend.kit.storage.pyramids import ZSTD_LEVEL, level_count
from backend.slides.patches.grid import PATCH_PX, analysis_size

Pixels = npt.NDArray[np.uint8]
Chunk = tuple[int, int, int, Pixels]
"""level, row, column, pixels"""
LABELS = {255: ("membrane", [255, 210, 60, 255]), 127: ("ignore", [180, 180, 180, 255])}


def entries(source: Source) -> Iterator[Entry]:
    """Yield the files of the group."""
    size = analysis_size(source.slide, source.analysis_mpp)
    yield from documents(size, source.analysis_mpp)
    compress = shard_files.zstd(ZSTD_LEVEL)
    pyramid = Pyramid(level_count(size))
    for level, row, column, pixels in pyramid.chunks(source.items, source.manifest):
        if pixels.any():
            content = compress(np.ascontiguousarray(pixels))
            yield Entry(f"{level}/c/{row}/{column}", [content], packed=False)


def documents(size: SizePx, mpp: float) -> Iterator[Entry]:
    """Yield the metadata of the group and its arrays, as zarr writes them; the group's first.

    size: (width, height) of the slide in analysis px.
    """
    # zarr costs a second to import: the service starts without it
    import zarr
    from zarr.codecs import ZstdCodec

    width, height = size
    count = level_count(size)
    with TemporaryDirectory(prefix="membrana-export-") as folder:
        group = zarr.create_group(folder, overwrite=True, attributes=metadata(count, mpp))
        for level in range(count):
            group.create_array(
                str(level),
                shape=(-(-height // 2**level), -(-width // 2**level)),
                chunks=(PATCH_PX, PATCH_PX),
                dtype="uint8",
                compressors=ZstdCodec(level=ZSTD_LEVEL),
                fill_value=0,
                dimension_names=("y", "x"),
            )
        names = ["zarr.json", *(f"{level}/zarr.json" for level in range(count))]
        for name in names:
            yield Entry(name, [(Path(folder) / name).read_bytes()], packed=False)


def metadata(count: int, mpp: float) -> dict[str, Any]:
    """Return the group's OME-Zarr 0.5 attributes."""
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [mpp * 2**level, mpp * 2**level]}
            ],
        }
        for level in range(count)
    ]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]
    multiscale = {"name": "membrane", "axes": axes, "datasets": datasets, "type": "max"}
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [multiscale],
            "image-label": {
                "colors": [
                    {"label-value": value, "rgba": colour} for value, (_, colour) in LABELS.items()
                ],
                "properties": [
                    {"label-value": value, "class": name} for value, (name, _) in LABELS.items()
                ],
            },
        }
    }


class Pyramid:
    """Levels 1 and up of what comes row by row: a chunk is complete when its rows are past."""

    def __init__(self, count: int) -> None:
        self._open: list[dict[tuple[int, int], Pixels]] = [{} for _ in range(count)]

    def chunks(self, items: Iterator[Item], manifest: Manifest) -> Iterator[Chunk]:
        """Yield all chunks of all levels, each once."""
        last = 0
        for item in items:
            row, column = item.record.row, item.record.column
            manifest.note(item, chunk=f"0/c/{row}/{column}")
            pixels = item.mask()
            if row != last:
                yield from self._complete(row)
                last = row
            yield 0, row, column, pixels
            self._lay(1, row, column, pixels)
        yield from self._complete(None)

    def _complete(self, row: int | None) -> Iterator[Chunk]:
        """Yield the chunks above a row of level 0 (None: all); each is laid onto the next level."""
        for level in range(1, len(self._open)):
            waiting = self._open[level]
            past = [each for each in waiting if row is None or each[0] < row >> level]
            for place in past:
                pixels = waiting.pop(place)
                yield level, *place, pixels
                self._lay(level + 1, *place, pixels)

    def _lay(self, level: int, row: int, column: int, pixels: Pixels) -> None:
        """Lay a chunk of the level below, at half size, into its quarter of one of this level."""
        if level >= len(self._open):
            return
        place = row // 2, column // 2
        whole = self._open[level].setdefault(place, np.zeros((PATCH_PX, PATCH_PX), np.uint8))
        half = PATCH_PX // 2
        top, left = row % 2 * half, column % 2 * half
        # of four pixels the greatest: a thin line is not lost
        smaller = pixels.reshape(half, 2, half, 2).max(axis=(1, 3))
        whole[top : top + half, left : left + half] = smaller


FORMAT = Archive("ome-zarr", entries)
