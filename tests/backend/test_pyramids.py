"""Label pyramids: any order of shards, every level, equal bytes, valid OME-Zarr 0.5."""

import errno
import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr

from backend.kit.storage import pyramids
from backend.kit.storage.pyramids import LIVE_LEVELS, SHARD_PX, Channel, Pyramid, halved

SIZE = (2700, 2300)
"""2 × 2 shards, cut off at the right and below."""
SHARDS = [(row, column) for row in range(2) for column in range(2)]
MPP = 0.25


def shard_pixels(row: int, column: int) -> pyramids.Pixels:
    rng = np.random.default_rng([7, row, column])
    coarse = rng.integers(0, 256, (3, SHARD_PX // 4 - 1, SHARD_PX // 4 - 1), np.uint8)
    # cells of 4 px that straddle the levels' own cells
    return np.pad(coarse.repeat(4, axis=1).repeat(4, axis=2), ((0, 0), (1, 3), (3, 1)))


def slide_pixels() -> pyramids.Pixels:
    rows = [
        np.concatenate([shard_pixels(row, column) for column in range(2)], axis=2)
        for row in range(2)
    ]
    return np.concatenate(rows, axis=1)[:, : SIZE[1], : SIZE[0]]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def filled(folder: Path, order: list[tuple[int, int]]) -> Pyramid:
    pyramid = pyramids.create(folder, SIZE, MPP)
    for place in order:
        pyramid.write_shard(*place, shard_pixels(*place))
    pyramid.build_coarse_levels()
    return pyramid


def test_the_metadata_are_ome_zarr_0_5(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    pyramids.create(folder, SIZE, MPP)
    document = pyramids.document(folder)
    assert document["zarr_format"] == 3
    assert document["node_type"] == "group"
    ome = document["attributes"]["ome"]
    assert ome["version"] == "0.5"
    [multiscale] = ome["multiscales"]
    assert [(axis["name"], axis["type"]) for axis in multiscale["axes"]] == [
        ("c", "channel"),
        ("y", "space"),
        ("x", "space"),
    ]
    assert {axis.get("unit") for axis in multiscale["axes"][1:]} == {"micrometer"}
    for level, dataset in enumerate(multiscale["datasets"]):
        [scale] = dataset["coordinateTransformations"]
        assert scale == {"type": "scale", "scale": [1.0, MPP * 2**level, MPP * 2**level]}
        array = zarr.open_array(folder / dataset["path"], mode="r")
        assert array.shape == (3, -(-SIZE[1] // 2**level), -(-SIZE[0] // 2**level))
        assert array.metadata.dimension_names == ("c", "y", "x")
    assert max(array.shape) <= 256, "the last level is one chunk"


def test_every_level_is_the_mean_of_the_one_below(tmp_path: Path) -> None:
    pyramid = filled(tmp_path / "a.zarr", SHARDS)
    assert pyramid.readable_levels == len(pyramid.levels)
    expected = slide_pixels()
    for level in range(len(pyramid.levels)):
        size = pyramid.level_size(level)
        assert (pyramid.read(level, 0, 0, size, tuple(Channel)) == expected).all(), level
        expected = halved(expected)


def test_order_and_repetition_leave_the_same_files(tmp_path: Path) -> None:
    one = filled(tmp_path / "a.zarr", SHARDS)
    two = filled(tmp_path / "b.zarr", [*reversed(SHARDS), *SHARDS[1:3]])
    assert files(one.folder) == files(two.folder)


def test_several_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    alone = filled(tmp_path / "a.zarr", SHARDS)

    def write(mine: list[tuple[int, int]]) -> None:
        pyramid = pyramids.create(tmp_path / "b.zarr", SIZE, MPP)
        for place in mine:
            pyramid.write_shard(*place, shard_pixels(*place))

    threads = [threading.Thread(target=write, args=(SHARDS[start::3],)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pyramids.opened(tmp_path / "b.zarr").build_coarse_levels()
    assert files(tmp_path / "b.zarr") == files(alone.folder)
    assert {path.name for path in tmp_path.iterdir()} == {"a.zarr", "b.zarr"}, "no drafts stay"


def test_leftovers_make_room(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    pyramid = pyramids.create(folder, SIZE, MPP)
    (folder / "zarr.json").unlink()
    pyramid.write_shard(0, 0, shard_pixels(0, 0))
    again = pyramids.create(folder, SIZE, MPP)
    assert not again.read(0, 0, 0, (256, 256), [0]).any(), "deleted, then written to by a late job"
    assert pyramids.create(folder, (512, 512), MPP).size == (512, 512), "another grid"


def test_the_hash_is_that_of_the_pixels_on_the_slide(tmp_path: Path) -> None:
    pyramid = pyramids.create(tmp_path / "a.zarr", SIZE, MPP)
    pixels = shard_pixels(1, 1)
    inside = pixels[:, : SIZE[1] - SHARD_PX, : SIZE[0] - SHARD_PX]
    expected = hashlib.sha256(inside.tobytes()).hexdigest()
    assert pyramid.write_shard(1, 1, pixels) == expected
    pixels[0, 0, 0] ^= 1
    assert pyramid.write_shard(1, 1, pixels) != expected


def test_what_is_not_predicted_reads_as_nothing(tmp_path: Path) -> None:
    pyramid = pyramids.create(tmp_path / "a.zarr", SIZE, MPP)
    pyramid.write_shard(0, 1, shard_pixels(0, 1))
    assert pyramid.readable_levels == min(LIVE_LEVELS, len(pyramid.levels))
    assert not pyramid.read(0, 0, 0, (SHARD_PX, SHARD_PX), [0]).any()
    beyond = pyramid.read(0, -100, -100, (300, 300), [0, 1])
    assert beyond.shape == (2, 300, 300)
    assert not beyond.any()
    across = pyramid.read(0, SHARD_PX - 10, -5, (20, 20), [0])[0]
    assert (across[5:, 10:] == shard_pixels(0, 1)[0, :15, :10]).all()
    assert not across[:, :10].any()


@pytest.mark.parametrize(
    ("size", "levels"),
    [((256, 256), 1), ((257, 10), 2), ((2048, 2048), 4), ((100_000, 80_000), 10)],
)
def test_levels_end_at_one_chunk(size: tuple[int, int], levels: int) -> None:
    assert pyramids.level_count(size) == levels


def test_a_full_disk_is_not_somebody_who_was_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read so, and what was raised then spoke of a file that is not there."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place, name in ((Path, "rename"), (pyramids, "write_empty")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            with pytest.raises(OSError, match="No space") as caught:
                pyramids.create(tmp_path / "a.zarr", SIZE, MPP)
        assert caught.value.errno == errno.ENOSPC
        assert list(tmp_path.iterdir()) == [], "nothing half made stays"
    assert pyramids.create(tmp_path / "a.zarr", SIZE, MPP).size == SIZE
