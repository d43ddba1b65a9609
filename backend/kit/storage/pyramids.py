"""Label pyramids: what a model version sees on a slide, as an OME-Zarr 0.5 group (Zarr v3).

Axes (channel, y, x) in analysis px. Level k is the slide at 1/2^k. A shard of level 0 is 2048 px:
on the live levels it maps onto one whole storage object each, so shards can be written in any
order by several workers; levels too coarse for that are built from the last live one at the end.
"""

import errno
import hashlib
import json
import math
import shutil
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.kit.geometry import SizePx
from backend.kit.storage import shard_files
from backend.kit.storage.shard_files import DRAFT
from backend.kit.storage.sweeping import forget_hidden

Pixels = npt.NDArray[np.uint8]
CHUNK_PX = 256
SHARD_PX = 2048
ZSTD_LEVEL = 1
LIVE_LEVELS = 6
"""Levels 0–5 follow every shard; at level 5 a shard is one chunk of 64 px."""
DONE = "done"
"""Marks a group whose coarse levels are built."""


class Channel(IntEnum):
    PROBABILITY = 0
    UNCERTAINTY = 1
    FLAGGED = 2


class Pyramid:
    """One slide seen by one model version. Readers need no lock: objects appear whole."""

    def __init__(self, folder: Path) -> None:
        # zarr costs a second to import: the service starts without it
        import zarr

        self.folder = folder
        group = zarr.open_group(folder, mode="r+")
        ome: Any = group.attrs["ome"]
        datasets = ome["multiscales"][0]["datasets"]
        self.levels: list[Any] = [group[dataset["path"]] for dataset in datasets]
        self._compress = shard_files.zstd(ZSTD_LEVEL)

    @property
    def size(self) -> SizePx:
        """(width, height) of level 0 in analysis px."""
        return self.level_size(0)

    def level_size(self, level: int) -> SizePx:
        _, height, width = self.levels[level].shape
        return int(width), int(height)

    @property
    def readable_levels(self) -> int:
        """How many levels can be read now: all of them once the coarse ones are built."""
        whole = (self.folder / DONE).exists()
        return len(self.levels) if whole else min(LIVE_LEVELS, len(self.levels))

    def write_shard(self, row: int, column: int, pixels: Pixels) -> str:
        """Write (3, 2048, 2048) level-0 pixels and their part of the live levels; return sha256.

        What reaches beyond the slide is cut off. Equal pixels leave equal files.
        """
        width, height = self.size
        y, x = row * SHARD_PX, column * SHARD_PX
        pixels = np.ascontiguousarray(pixels[:, : height - y, : width - x])
        sha256 = hashlib.sha256(pixels.data).hexdigest()
        objects: dict[Path, bytes | None] = {}
        for level, array in enumerate(self.levels[:LIVE_LEVELS]):
            path = self.folder / str(level) / "c" / "0" / str(row) / str(column)
            objects[path] = shard_files.encoded(
                pixels, shard=array.shards, chunk=array.chunks, compress=self._compress
            )
            pixels = halved(pixels)
        shard_files.replace(objects, drafts=self.folder.parent)
        return sha256

    def build_coarse_levels(self) -> None:
        """Build the levels above the live ones from the last of these, strip by strip."""
        for level in range(LIVE_LEVELS, len(self.levels)):
            source, target = self.levels[level - 1], self.levels[level]
            for y in range(0, target.shape[1], CHUNK_PX):
                strip = np.asarray(source[:, 2 * y : 2 * (y + CHUNK_PX)])
                target[:, y : y + CHUNK_PX] = halved(strip)
        (self.folder / DONE).touch()

    def read(self, level: int, x: int, y: int, size: SizePx, channels: Sequence[int]) -> Pixels:
        """Return a box of a level as (channels, height, width); 0 where nothing is predicted.

        The box may reach beyond the level.
        """
        width, height = size
        whole_width, whole_height = self.level_size(level)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, whole_width), min(y + height, whole_height)
        out = np.zeros((len(channels), height, width), np.uint8)
        if right > left and bottom > top:
            place = np.s_[top - y : bottom - y, left - x : right - x]
            for index, channel in enumerate(channels):
                out[index][place] = self.levels[level][channel, top:bottom, left:right]
        return out


def halved(pixels: Pixels) -> Pixels:
    """Return (C, H, W) at half size, rounded up: means of 2×2 px, edges repeated."""
    count, height, width = pixels.shape
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    smaller = np.empty((count, -(-height // 2), -(-width // 2)), np.uint8)
    for plane, target in zip(np.ascontiguousarray(pixels), smaller, strict=True):
        # two neighbours are read as one number, whose halves are added: memory is passed in order
        pairs = plane.view(np.uint16)
        across = pairs >> 8
        across += pairs & 0xFF
        total = across[0::2]
        total += across[1::2]
        total += 2
        total >>= 2
        np.copyto(target, total, casting="unsafe")
    return smaller


def level_count(size: SizePx) -> int:
    """Return how many levels bring the longer side down to one chunk."""
    return max(0, math.ceil(math.log2(max(size) / CHUNK_PX))) + 1


def create(folder: Path, size: SizePx, mpp: float) -> Pyramid:
    """Return the pyramid of a folder; make it first if it isn't there.

    It is made aside and renamed, so that two workers that begin together share one. What is left
    of a pyramid that was deleted, or of another grid's, makes room.
    `size` is (width, height) in analysis px, `mpp` the analysis grid's.
    """
    if not fits(folder, size):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(dir=folder.parent, prefix=DRAFT))
        try:
            write_empty(draft, size, mpp)
            draft.rename(folder)
        except OSError as error:
            # a folder that isn't empty is in the way: somebody else was first
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return opened(folder)


def fits(folder: Path, size: SizePx) -> bool:
    """Say whether a pyramid of this size lies there."""
    return (folder / "zarr.json").exists() and opened(folder).size == size


def write_empty(folder: Path, size: SizePx, mpp: float) -> None:
    import zarr
    from zarr.codecs import ZstdCodec

    width, height = size
    count = level_count(size)
    group = zarr.create_group(folder, overwrite=True, attributes=metadata(count, mpp))
    for level in range(count):
        step = 2**level
        side = SHARD_PX >> level if level < LIVE_LEVELS else CHUNK_PX
        group.create_array(
            str(level),
            shape=(len(Channel), -(-height // step), -(-width // step)),
            chunks=(1, min(CHUNK_PX, side), min(CHUNK_PX, side)),
            shards=(len(Channel), side, side),
            dtype="uint8",
            compressors=ZstdCodec(level=ZSTD_LEVEL),
            fill_value=0,
            dimension_names=("c", "y", "x"),
        )


def metadata(count: int, mpp: float) -> dict[str, Any]:
    """Return the group's OME-Zarr 0.5 attributes."""
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, mpp * 2**level, mpp * 2**level]}
            ],
        }
        for level in range(count)
    ]
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    multiscale = {"name": "membrane", "axes": axes, "datasets": datasets, "type": "mean"}
    labels = [{"label": channel.name.lower()} for channel in Channel]
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [multiscale],
            "omero": {"channels": [{**label, **DISPLAY} for label in labels]},
        }
    }


DISPLAY: dict[str, Any] = {
    "color": "FFD23C",
    "window": {"min": 0, "max": 255, "start": 0, "end": 255},
}


def folder_of(root: Path, slide_sha256: str, model_version_id: str) -> Path:
    return root / slide_sha256 / f"{model_version_id}.zarr"


def forget_drafts(root: Path, before: datetime) -> None:
    """Delete what killed processes had begun to write, pyramids and parts of them."""
    forget_hidden(root, before, "*/.*")


@lru_cache(maxsize=64)
def _opened(folder: Path, _created: tuple[int, int]) -> Pyramid:
    return Pyramid(folder)


def opened(folder: Path) -> Pyramid:
    """Return an existing pyramid; its arrays' metadata are read once in a process."""
    facts = (folder / "zarr.json").stat()
    return _opened(folder, (facts.st_ino, facts.st_mtime_ns))


def document(folder: Path) -> dict[str, Any]:
    """Return the group's metadata document as it is on disk."""
    content: dict[str, Any] = json.loads((folder / "zarr.json").read_text())
    return content
