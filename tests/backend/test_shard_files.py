"""Shards that we encode ourselves are what zarr reads, and what it would have written."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from backend.kit.storage import shard_files

SHARD, CHUNK = (3, 64, 64), (1, 16, 16)


def array(folder: Path) -> zarr.Array:
    return zarr.create_array(
        folder,
        shape=(3, 60, 50),
        chunks=CHUNK,
        shards=SHARD,
        dtype="uint8",
        compressors=ZstdCodec(level=1),
        fill_value=0,
    )


def scene() -> shard_files.Pixels:
    """Return pixels of a slide's edge: no multiple of a chunk, an empty channel, empty chunks."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 4, (3, 60, 50), np.uint8) * 60
    pixels[1] = 0
    pixels[0, :16, 16:48] = 0
    return pixels


def encoded(pixels: shard_files.Pixels) -> bytes | None:
    return shard_files.encoded(pixels, shard=SHARD, chunk=CHUNK, compress=shard_files.zstd(1))


def chunks_of(content: bytes) -> list[bytes | None]:
    """Take an object apart: each chunk's compressed bytes, whatever their order."""
    index = np.frombuffer(content[-(3 * 16 * 16 + 4) : -4], "<u8").reshape(-1, 2)
    nowhere = 2**64 - 1
    return [
        None if offset == nowhere else content[int(offset) : int(offset + length)]
        for offset, length in index
    ]


def test_zarr_reads_what_is_written(tmp_path: Path) -> None:
    target = array(tmp_path / "a.zarr")
    path = tmp_path / "a.zarr" / "c" / "0" / "0" / "0"
    shard_files.replace({path: encoded(scene())}, drafts=tmp_path)
    assert (target[:] == scene()).all()
    assert {each.name for each in tmp_path.iterdir()} == {"a.zarr"}


def test_zarr_would_have_written_the_same_chunks(tmp_path: Path) -> None:
    array(tmp_path / "a.zarr")[:] = scene()
    theirs = chunks_of((tmp_path / "a.zarr" / "c" / "0" / "0" / "0").read_bytes())
    ours = encoded(scene())
    assert ours is not None
    assert chunks_of(ours) == theirs
    assert None in theirs


def test_a_damaged_index_is_noticed(tmp_path: Path) -> None:
    target = array(tmp_path / "a.zarr")
    path = tmp_path / "a.zarr" / "c" / "0" / "0" / "0"
    content = bytearray(encoded(scene()) or b"")
    content[-10] ^= 1
    shard_files.replace({path: bytes(content)}, drafts=tmp_path)
    with pytest.raises(ValueError, match="checksum"):
        target[:]


def test_nothing_but_zeros_is_no_object(tmp_path: Path) -> None:
    assert encoded(np.zeros((3, 60, 50), np.uint8)) is None
    target = array(tmp_path / "a.zarr")
    path = tmp_path / "a.zarr" / "c" / "0" / "0" / "0"
    shard_files.replace({path: encoded(scene())}, drafts=tmp_path)
    shard_files.replace({path: None}, drafts=tmp_path)
    assert not path.exists()
    assert not target[:].any()
