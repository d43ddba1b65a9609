"""Slow down guessing: few wrong passwords a minute for an address, fewer for one name from it."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from backend.kit.errors import TooManyRequests

TRIES_OF_NAME = 10
TRIES_OF_ADDRESS = 30
"""A whole department may share one address behind a proxy."""
WINDOW_SECONDS = 60.0
REMEMBERED = 10_000
"""Keys kept; the oldest are forgotten, so that an attacker can't fill the memory."""


class Throttle:
    """Counts the tries of this process. A try counts from its start, so that many at once gain
    nothing; one that succeeds is taken back.
    """

    def __init__(self) -> None:
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, limits: dict[str, int]) -> Iterator[None]:
        """Count one try against each key. Raises TooManyRequests if a key has had its share."""
        begun = time.monotonic()
        with self._lock:
            for key, limit in limits.items():
                self._refuse_if_spent(key, limit, begun)
            for key in limits:
                self._tries.setdefault(key, deque()).append(begun)
                self._tries.move_to_end(key)
            while len(self._tries) > REMEMBERED:
                self._tries.popitem(last=False)
        yield
        with self._lock:
            for key in limits:
                if begun in (tries := self._tries.get(key, deque())):
                    tries.remove(begun)
                if not tries:
                    self._tries.pop(key, None)

    def _refuse_if_spent(self, key: str, limit: int, now: float) -> None:
        tries = self._tries.get(key, deque())
        while tries and tries[0] <= now - WINDOW_SECONDS:
            tries.popleft()
        if len(tries) >= limit:
            wait = int(tries[0] + WINDOW_SECONDS - now) + 1
            raise TooManyRequests(
                f"Too many wrong tries; wait {wait} seconds.",
                headers={"Retry-After": str(wait)},
            )

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._tries.clear()
