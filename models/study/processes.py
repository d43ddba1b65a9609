"""The processes of a study: they begin at once and end with the one that wanted their work."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any


@contextmanager
def processes(
    jobs: int, prepare: Callable[..., None] | None = None, *given: Any
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of `jobs` processes; after an error what waits in it is dropped.

    prepare: called in each process with what is `given`, before its first work. They are forked
    from a server that has loaded torch and done nothing with it: four seconds less for each than
    a new interpreter, and no thread of this process is in them.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["models.study.runs"])
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=begin, initargs=(prepare, given)
    ) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def begin(prepare: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    end_with_parent()
    if prepare is not None:
        prepare(*given)


def end_with_parent() -> None:
    """End this process when the one that wanted its work is gone: it would wait for ever."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
