"""One storage object in the layout of Zarr v3's sharding codec, encoded in one go.

zarr spends 0.2 s of Python on the 260 chunks of a shard, holding the interpreter while networks
wait for it; the layout is simple and written down (zarr-specs, codec "sharding_indexed" 1.0):
the chunks, then where each lies as (offset, length), little-endian uint64, then the crc32c of that.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.kit.storage.whole_files import whole_file

Pixels = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]
Compress = Callable[[Pixels], bytes]
NOWHERE = 2**64 - 1
"""Offset and length of a chunk that is left out as it holds nothing but zeros."""
DRAFT = ".draft-"
"""Begins the name of what is being written; a killed process leaves it."""


def encoded(pixels: Pixels, *, shard: Shape, chunk: Shape, compress: Compress) -> bytes | None:
    """Return the object's bytes; None if all is 0 and there should be no object.

    pixels: (C, H, W), its upper left part if it is smaller than the shard; the rest is 0.
    """
    _, step, _ = chunk
    grid = [whole // part for whole, part in zip(shard, chunk, strict=True)]
    index = np.full((*grid, 2), NOWHERE, "<u8")
    parts: list[bytes] = []
    end = 0
    for channel, plane in enumerate(pixels):
        for y in range(0, plane.shape[0], step):
            for x in range(0, plane.shape[1], step):
                piece = plane[y : y + step, x : x + step]
                if not piece.max():
                    continue
                parts.append(compress(squared(piece, step)))
                index[channel, y // step, x // step] = end, len(parts[-1])
                end += len(parts[-1])
    if not parts:
        return None
    return b"".join([*parts, index.tobytes(), checksum(index.tobytes())])


def squared(piece: Pixels, side: int) -> Pixels:
    """Return a chunk's pixels in one block of memory, filled up to its side."""
    missing = [(0, side - length) for length in piece.shape]
    return np.ascontiguousarray(piece if piece.shape == (side, side) else np.pad(piece, missing))


def checksum(content: bytes) -> bytes:
    import google_crc32c

    return int(google_crc32c.value(content)).to_bytes(4, "little")


def zstd(level: int) -> Compress:
    """Return zarr's own compressor; its import costs the service's start a quarter of a second."""
    from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

    encode: Compress = Zstd(level=level).encode
    return encode


def replace(contents: Mapping[Path, bytes | None], drafts: Path) -> None:
    """Write objects, each whole or not at all, and bring all to the disk; None: no object.

    All at once: a disk commits them together, in the time of one. `drafts` is a folder of the
    same file system, where they become whole.
    """

    def write(path: Path, content: bytes | None) -> None:
        replace_one(path, content, drafts)

    with ThreadPoolExecutor(len(contents), thread_name_prefix="sync") as pool:
        list(pool.map(write, contents.keys(), contents.values()))


def replace_one(path: Path, content: bytes | None, drafts: Path) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, drafts=drafts, prefix=DRAFT) as file:
        file.write(content)
