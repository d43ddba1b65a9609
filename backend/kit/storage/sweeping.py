"""The sweep: blobs that nothing names any more, and files that killed processes left.

Only what is old is taken. Whoever stores a blob makes it young (blobs.py), so a blob whose row is
not written yet is safe, and each one is looked at once more at the moment it would go.
"""

import re
import shutil
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path

from backend.kit.storage.blobs import SWEPT, Blobs

NAME = re.compile(rb"[0-9a-f]{64}")
DOCUMENT = (b"{", b"[")
"""How the blobs begin that may name others: masks of a report, blocks of a score."""
PIECE = 1 << 20


def pause_file(data: Path) -> Path:
    """Return the lock that a sweep holds, and that a backup holds so that none begins meanwhile."""
    return data / "sweep.lock"


def sweep(blobs: Blobs, named: Callable[[], set[str]], before: datetime) -> int:
    """Delete blobs last stored before a moment that neither a row nor a named blob names.

    named: read when the old ones are known, so that what is stored meanwhile is not among them.
    Returns how many are gone.
    """
    for aside in blobs.folder.glob(f"??/{SWEPT}*"):
        # a sweep was killed between its two steps; this one decides anew
        aside.rename(aside.with_name(aside.name.removeprefix(SWEPT)))
    old = {sha256 for sha256 in blobs if is_older(blobs.path(sha256), before)}
    if not old:
        return 0
    wanted = named()
    if not old <= wanted:
        wanted |= named_by_blobs(blobs, wanted)
    return sum(blobs.discard(sha256, before) for sha256 in sorted(old - wanted))


def is_older(path: Path, moment: datetime) -> bool:
    try:
        return path.stat().st_mtime < moment.timestamp()
    except FileNotFoundError:
        return False


def named_by_blobs(blobs: Blobs, names: Iterable[str]) -> set[str]:
    """Return what blobs name, and what those do that they name."""
    named: set[str] = set()
    waiting = list(names)
    looked_into: set[str] = set()
    while waiting:
        sha256 = waiting.pop()
        if sha256 in looked_into:
            continue
        looked_into.add(sha256)
        inside = names_inside(blobs.path(sha256))
        named |= inside
        waiting += inside
    return named


def names_inside(path: Path) -> set[str]:
    """Return what looks like names in a JSON document; nothing of another or a missing file."""
    try:
        with path.open("rb") as file:
            piece = file.read(PIECE)
            if not piece.startswith(DOCUMENT):
                return set()
            names: set[str] = set()
            while piece:
                names.update(name.decode() for name in NAME.findall(piece))
                after = file.read(PIECE)
                # a name may lie across the border of two pieces
                piece = piece[-63:] + after if after else b""
            return names
    except FileNotFoundError:
        return set()


def forget_hidden(folder: Path, before: datetime, pattern: str = ".*") -> None:
    """Delete hidden files and folders last written before a moment: nobody goes on with them."""
    for path in folder.glob(pattern):
        # whoever writes it may finish it, or another worker delete it, at this moment
        if is_older(path, before):
            remove(path)


def forget_folders(root: Path, living: Callable[[], Collection[str]]) -> None:
    """Delete the folders whose name is none of the living's.

    living: read when the folders are known, since who has a folder had a row before it.
    """
    folders = [folder for folder in root.glob("*") if folder.is_dir()]
    names = living()
    for folder in folders:
        if folder.name not in names:
            remove(folder)


def remove(path: Path) -> None:
    """Delete a file or a folder with all in it; one that is gone already is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
