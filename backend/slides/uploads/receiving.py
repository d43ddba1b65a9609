"""Bytes on their way to disk: streamed, counted, hashed, synced; never a whole file in memory."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from anyio import CancelScope
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from backend.kit.errors import BadRequest, NoSpace
from backend.settings import Settings
from backend.slides.uploads.hashing import RunningHash
from backend.slides.uploads.tus import ChecksumMismatch, Hash, UploadLocked, UploadTooLarge

BUFFER_BYTES = 1 << 20
CHECKPOINT_BYTES = 64 << 20
"""How much one long request may lose when the power goes."""


class LineBroken(BadRequest):
    """Nobody is there to read this any more; it only ends the request."""

    code, title = "line_broken", "The line broke"


def upload_path(settings: Settings, upload_id: str) -> Path:
    return settings.upload_folder / f"{upload_id}.part"


def keep_metadata(settings: Settings, upload_id: str, header: str) -> None:
    """Keep Upload-Metadata to the letter; it is swept up with the upload's other files."""
    path = metadata_path(settings, upload_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header, "latin-1")


def kept_metadata(settings: Settings, upload_id: str) -> str | None:
    """Return the Upload-Metadata that an upload was announced with, if it was with any."""
    try:
        return metadata_path(settings, upload_id).read_text("latin-1")
    except FileNotFoundError:
        return None


def metadata_path(settings: Settings, upload_id: str) -> Path:
    return settings.upload_folder / f"{upload_id}.metadata"


def check_space(settings: Settings, wanted: int) -> None:
    """Raise NoSpace unless so many bytes fit beside the reserve."""
    settings.upload_folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.upload_folder).free
    if wanted > free - settings.free_space_reserve_bytes:
        raise NoSpace(
            "The server's disk has no room for this file. Delete slides that are no longer "
            "needed, or ask the administrator for a larger disk."
        )


@contextmanager
def exclusive(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that no other request or process of the service writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        try:
            # the file itself is locked: filelock would empty it, and leave a second file beside it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UploadLocked("Another request writes this upload; try again soon.") from None
        yield file


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[BinaryIO]:
    """Be `exclusive` for a request that waits for its bytes: the disk is touched in threads."""
    locked = exclusive(path)
    file = await run_in_threadpool(locked.__enter__)
    try:
        yield file
    finally:
        with CancelScope(shield=True):
            await run_in_threadpool(locked.__exit__, None, None, None)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces of about a megabyte."""
    held = bytearray()
    try:
        async for chunk in request.stream():
            held += chunk
            if len(held) >= BUFFER_BYTES:
                yield bytes(held)
                held.clear()
    except ClientDisconnect:
        # what came before the line broke is kept: that is what resumable means
        if held:
            yield bytes(held)
        raise LineBroken("The request ended before its last byte.") from None
    if held:
        yield bytes(held)


async def receive(  # noqa: C901 - three steps of one file that share two counters
    request: Request,
    file: BinaryIO,
    *,
    offset: int,
    length: int,
    checksum: tuple[Hash, bytes] | None,
    state: RunningHash,
    advance: Callable[[int, int, RunningHash], None],
) -> int:
    """Append a request's body at `offset`; return the new offset.

    `advance(before, after, state)` writes the offset to SQL, after the bytes are synced; `state` is
    the hash of all up to `after`. With a checksum the offset moves only if it holds; without one,
    whatever came before a broken line counts. Disk and SQL are touched in threads alone: while one
    waits, every other request would.
    """
    written = committed = offset

    def keep() -> None:
        nonlocal committed
        file.flush()
        os.fsync(file.fileno())
        if written > committed:
            advance(committed, written, state)
            committed = written

    def append(piece: bytes) -> None:
        nonlocal written
        if checksum:
            checksum[0].update(piece)
        file.write(piece)
        state.update(piece)
        written += len(piece)
        if checksum is None and written - committed >= CHECKPOINT_BYTES:
            keep()

    def start() -> None:
        file.truncate(offset)
        file.seek(offset)

    await run_in_threadpool(start)
    try:
        async for piece in pieces(request):
            if written + len(piece) > length:
                raise UploadTooLarge("More bytes came than the upload was announced to have.")
            await run_in_threadpool(append, piece)
    except (LineBroken, asyncio.CancelledError):
        if checksum is None:
            # the request may be over for whoever waits for it: this is still done
            with CancelScope(shield=True):
                await run_in_threadpool(keep)
        raise
    if checksum and checksum[0].digest() != checksum[1]:
        raise ChecksumMismatch("The bytes are not those that were sent. Send this part again.")
    await run_in_threadpool(keep)
    return written
