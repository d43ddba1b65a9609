"""A file's sha256, worked out while its bytes come: nobody reads a whole slide a second time.

The state of a hash can't be stored (hashlib has no way), so it lives in this process, by upload and
offset. After a restart, or where another process took a part, there is none for the offset, and
the file is read once at its end as before.
"""

import hashlib
from collections import OrderedDict
from threading import Lock

MOST = 256
"""Uploads whose state is kept; an older one is read again at its end."""


class RunningHash:
    """The sha256 of an upload's first bytes."""

    def __init__(self, known: "hashlib._Hash | None") -> None:
        self._known = known

    def update(self, piece: bytes) -> None:
        if self._known is not None:
            self._known.update(piece)

    def hexdigest(self) -> str | None:
        return self._known.hexdigest() if self._known is not None else None

    def copy(self) -> "RunningHash":
        return RunningHash(self._known.copy() if self._known is not None else None)


class RunningHashes:
    """The states of this process. Who asks for one holds the upload's file."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._states: OrderedDict[str, tuple[int, RunningHash]] = OrderedDict()

    def at(self, upload_id: str, offset: int) -> RunningHash:
        """Return the hash of an upload's first bytes, to go on with; without a value if unknown."""
        if offset == 0:
            return RunningHash(hashlib.sha256())
        with self._lock:
            known_at, state = self._states.get(upload_id, (-1, RunningHash(None)))
            return state.copy() if known_at == offset else RunningHash(None)

    def keep(self, upload_id: str, offset: int, state: RunningHash) -> None:
        """Keep what is known of the bytes that are on disk and counted in SQL."""
        with self._lock:
            self._states[upload_id] = offset, state.copy()
            self._states.move_to_end(upload_id)
            while len(self._states) > MOST:
                self._states.popitem(last=False)

    def forget(self, upload_id: str | None = None) -> None:
        """Forget an upload, or all."""
        with self._lock:
            if upload_id is None:
                self._states.clear()
            else:
                self._states.pop(upload_id, None)


running = RunningHashes()
