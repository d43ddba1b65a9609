"""A worker process as `membrana up` runs it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.supervision import Child, worker_command


@contextmanager
def worker(folder: Path) -> Iterator[Child]:
    """Run a worker as `membrana up` does: whenever it ends it is started again."""
    child = Child("The worker", worker_command("cpu"), folder / "worker.log")
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            child.watch()

    child.watch()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield child
    finally:
        done.set()
        thread.join()
        child.stop()
        child.wait(time.monotonic() + 30)
