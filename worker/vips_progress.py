"""A long evaluation of libvips that tells how far it is, and can be stopped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyvips

Watch = Callable[[float], bool]
"""Told how far it is, 0 to 1; says whether to go on."""


class ConversionStopped(Exception):
    """The watch said stop; what was being made is gone."""


@contextmanager
def watched(image: pyvips.Image, watch: Watch) -> Iterator[pyvips.Image]:
    """Yield the picture as one whose evaluation is told; raise ConversionStopped if it ended so."""
    followed = image.copy()
    stopped = False

    def on_progress(_image: pyvips.Image, progress: Any) -> None:
        nonlocal stopped
        if not watch(progress.percent / 100):
            stopped = True
            followed.set_kill(True)

    followed.set_progress(True)
    followed.signal_connect("eval", on_progress)
    try:
        yield followed
    except pyvips.Error:
        if stopped:
            raise ConversionStopped from None
        raise


def part_of(watch: Watch, start: float, end: float) -> Watch:
    """Return the watch of a part of the whole."""
    return lambda share: watch(start + (end - start) * share)
