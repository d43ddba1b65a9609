"""The sweep of blobs: only what is old and unnamed goes, whoever stores what meanwhile."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from backend.kit.db.base import now
from backend.kit.storage.blobs import SWEPT, Blobs
from backend.kit.storage.sweeping import forget_hidden, sweep

DAY = timedelta(days=1)


def old(path: Path, age: timedelta = 2 * DAY) -> None:
    then = (now() - age).timestamp()
    os.utime(path, (then, then))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path)


def stored(blobs: Blobs, content: bytes, age: timedelta = 2 * DAY) -> str:
    sha256 = blobs.put(content)
    old(blobs.path(sha256), age)
    return sha256


def before() -> datetime:
    return now() - DAY


def test_only_old_ones_that_nothing_names_go(blobs: Blobs) -> None:
    named, orphan = stored(blobs, b"named"), stored(blobs, b"orphan")
    young = stored(blobs, b"young", timedelta(hours=1))
    assert sweep(blobs, lambda: {named}, before()) == 1
    assert set(blobs) == {named, young}
    assert not blobs.has(orphan)


def test_what_a_named_document_names_stays_and_what_that_names(blobs: Blobs) -> None:
    leaf = stored(blobs, b"a mask")
    inner = stored(blobs, b'[["x", "' + leaf.encode() + b'"]]')
    # the name lies across the border of two pieces that are read
    outer = stored(blobs, b"{" + b" " * ((1 << 20) - 30) + inner.encode() + b"}")
    picture = stored(blobs, b"\x89PNG" + leaf.encode())
    lost = stored(blobs, b"orphan")
    assert sweep(blobs, lambda: {outer, picture, "0" * 64}, before()) == 1
    assert set(blobs) == {leaf, inner, outer, picture}
    assert lost not in set(blobs)


@pytest.mark.parametrize("way", ["put", "adopt"])
def test_what_is_stored_again_during_the_sweep_stays(
    blobs: Blobs, tmp_path: Path, way: str
) -> None:
    """Its row is not written yet, so no table names it; that it was stored again makes it young."""
    sha256 = stored(blobs, b"again")
    copy = tmp_path / "copy"
    copy.write_bytes(b"again")

    def store_again() -> set[str]:
        if way == "put":
            blobs.put(b"again")
        else:
            blobs.adopt(copy, sha256)
        return set()

    assert sweep(blobs, store_again, before()) == 0
    assert blobs.read(sha256) == b"again"


def test_an_old_file_that_is_adopted_is_a_young_blob(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(b"sent days ago")
    old(file)
    blobs.adopt(file, "5" * 64)
    assert sweep(blobs, set, before()) == 0


def test_a_sweep_that_was_killed_between_its_steps_loses_nothing(blobs: Blobs) -> None:
    sha256 = stored(blobs, b"named")
    path = blobs.path(sha256)
    path.rename(path.with_name(SWEPT + sha256))
    assert sweep(blobs, lambda: {sha256}, before()) == 0
    assert blobs.read(sha256) == b"named"


def test_hidden_leftovers_go_when_they_are_old(tmp_path: Path) -> None:
    for name in (".draft", ".young", "seen"):
        (tmp_path / name).write_bytes(b"x")
    folder = tmp_path / ".unpacked"
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    for name in (".draft", ".unpacked", "seen"):
        old(tmp_path / name)
    forget_hidden(tmp_path, before())
    assert {path.name for path in tmp_path.iterdir()} == {".young", "seen"}
