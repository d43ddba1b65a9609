"""Files that appear under their name whole or not at all, and stay there after a power cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import NamedTemporaryFile
from typing import IO


@contextmanager
def whole_file(
    target: Path, *, drafts: Path | None = None, prefix: str = ".", lasting: bool = True
) -> Iterator[IO[bytes]]:
    """Yield what is written; at the end it stands at `target`, after an error nothing does.

    drafts: a folder of the same file system to write in, if not the target's. prefix: of the
    draft's name. lasting: also after a power cut, at the cost of waiting for the disk.
    """
    with draft(drafts or target.parent, prefix=prefix) as file:
        yield file
        if lasting:
            to_disk(file)
        else:
            file.flush()
        Path(file.name).replace(target)
    if lasting:
        sync_folder(target.parent)


@contextmanager
def whole_path(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` for a library that writes files itself; otherwise as above.

    The file has the permissions that the library gives it: a person's, not this service's own.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    written = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield written
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(target)
    finally:
        written.unlink(missing_ok=True)
    sync_folder(target.parent)


@contextmanager
def draft(folder: Path, *, prefix: str = ".") -> Iterator[IO[bytes]]:
    """Yield a file without a name of its own; it goes at the end unless it was moved."""
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=prefix, delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def private_file(target: Path, content: bytes) -> bool:
    """Make a file that only this account can read; False if it is there, whoever made it."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drafted = target.with_name(f".{target.name}.{os.getpid()}.{token_hex(4)}.draft")
    descriptor = os.open(drafted, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - by descriptor
            file.write(content)
            to_disk(file)
        os.link(drafted, target)
    except FileExistsError:
        return False
    finally:
        drafted.unlink()
    return True


def to_disk(file: IO[bytes]) -> None:
    """Make what was written to a file survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
