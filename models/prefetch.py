"""The next batches, made by threads of their own while a step is learned."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import torch

from models.batches import SELDOM, Drawing, Drawn
from models.semisup.method import Batch

Parts = dict[str, Any]


class Prefetch:
    """Makes the batches of the steps from `first` to `last`, `workers` steps ahead.

    begin(step) gives a step's drawing. Made ahead are the parts that were read before and are not
    SELDOM, for a method that reads one view need not wait for five; any other is made when it is
    asked for.
    All are made in these threads, with one thread of torch each: a sum that several threads share
    may round differently, and a training that is gone on with asks at other moments.
    """

    def __init__(
        self, begin: Callable[[int], Drawing], first: int, last: int, *, workers: int = 1
    ) -> None:
        self.begin, self.last, self.workers = begin, last, workers
        self.following = first
        self.read: set[str] = set()
        self.waiting: deque[tuple[Drawing, Future[Parts]]] = deque()

    def __enter__(self) -> Self:
        begun = threading.Barrier(self.workers + 1)

        def alone() -> None:
            torch.set_num_threads(1)
            begun.wait()

        threads = torch.get_num_threads()
        self.executor = ThreadPoolExecutor(self.workers, "prefetch", initializer=alone)
        for _ in range(self.workers):
            self.ahead()
        begun.wait()
        # the setting is the thread's own, but for threads that begin later the last one counts
        torch.set_num_threads(threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.executor.shutdown(cancel_futures=True)

    def ahead(self) -> None:
        """Have the next step's parts made, unless it is the last one's."""
        if self.following >= self.last:
            self.executor.submit(dict)
            return
        drawing = self.begin(self.following)
        wanted = tuple(self.read)
        job = self.executor.submit(lambda: {name: drawing.make(name) for name in wanted})
        self.waiting.append((drawing, job))
        self.following += 1

    def take(self) -> Batch:
        """Return the next step's batch."""
        drawing, job = self.waiting.popleft()

        def make(name: str) -> Any:
            if name not in SELDOM:
                self.read.add(name)
            return self.executor.submit(drawing.make, name).result()

        batch = Drawn(make)
        vars(batch).update(job.result())
        self.ahead()
        return batch
