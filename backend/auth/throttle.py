"""Slow down guessing: few wrong passwords a minute for a name and for an address."""

import threading
import time
from collections import OrderedDict, deque

from backend.errors import TooManyRequests

TRIES = 10
WINDOW_SECONDS = 60.0
REMEMBERED = 10_000
"""Keys kept; the oldest are forgotten, so that an attacker can't fill the memory."""


class Throttle:
    """Counts failures of this process; a success clears nothing, time does."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, *keys: str) -> None:
        """Raise TooManyRequests if one of the keys has failed too often lately."""
        with self._lock:
            for key in keys:
                failures = self._failures.get(key, deque())
                while failures and failures[0] < time.monotonic() - WINDOW_SECONDS:
                    failures.popleft()
                if len(failures) >= TRIES:
                    wait = round(failures[0] + WINDOW_SECONDS - time.monotonic()) + 1
                    raise TooManyRequests(
                        f"Too many wrong tries; wait {wait} seconds.",
                        headers={"Retry-After": str(wait)},
                    )

    def failed(self, *keys: str) -> None:
        with self._lock:
            for key in keys:
                self._failures.setdefault(key, deque()).append(time.monotonic())
                self._failures.move_to_end(key)
            while len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)
