"""Files that appear under their name whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write; what stands there at the end is moved to `path`, its bytes on disk.

    After an error `path` is as it was. One writer at a time.
    """
    fresh = path.with_suffix(".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    yield fresh
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
