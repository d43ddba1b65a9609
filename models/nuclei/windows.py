"""A network as a detector: run on windows of the slide's own grid, so that tiles agree.

A network's answer depends on all that it is shown. Shown whatever tile is being measured, it would
draw a nucleus otherwise in another tile, and after a local edit; shown fixed windows, it never
does.
"""

import math
from collections import OrderedDict
from threading import Lock

import cv2
import numpy as np
import numpy.typing as npt

from models.her2.nuclei import NUCLEI_MPP, Label, View
from models.her2.pixels import ANALYSIS_MPP, Pixels, scaled
from models.nuclei.networks import DetectorError, Network

CORE_PX = 384
"""At NUCLEI_MPP: a nucleus belongs to the window whose core, of 192 µm, holds its centroid."""
RIM_PX = 64
"""Shown round the core, 32 µm: what a network judges a nucleus by."""
WINDOW_PX = CORE_PX + 2 * RIM_PX
KEPT = 128
_PLAIN = 16
"""Grey levels: a window with less contrast is glass, of which percentiles would make a picture."""
_SAME = 0.5
"""Of a nucleus drawn over one that is there: it is the same one, seen from the next window."""


class Windowed:
    """The nuclei of one slide by a network that wants `mpp` µm per pixel. Threads may share it."""

    def __init__(self, name: str, network: Network, mpp: float) -> None:
        self.name = name
        self._network = network
        self._side = max(1, round(WINDOW_PX * NUCLEI_MPP / mpp))
        self._kept: OrderedDict[tuple[int, int], Label] = OrderedDict()
        self._slide: Pixels | None = None
        self._lock = Lock()

    def __call__(self, view: View) -> Label:
        """See models.her2.nuclei.Detector. Raise DetectorError for what is no label map."""
        height, width = view.image.shape[:2]
        out = np.zeros((height, width), np.int32)
        count = 0
        # beyond the slide there are no nuclei to be in a core
        rows = math.ceil(scaled(view.slide.height, view.slide.mpp, NUCLEI_MPP) / CORE_PX)
        columns = math.ceil(scaled(view.slide.width, view.slide.mpp, NUCLEI_MPP) / CORE_PX)
        for row in _covering(view.top, height, rows):
            for column in _covering(view.left, width, columns):
                top, left = row * CORE_PX - RIM_PX, column * CORE_PX - RIM_PX
                found = self._window(view.slide, row, column)
                count = _paint(out, found, top - view.top, left - view.left, count)
        return out

    def _window(self, slide: Pixels, row: int, column: int) -> Label:
        # one at a time: a network uses all processors by itself
        with self._lock:
            if slide is not self._slide:
                self._kept.clear()
                self._slide = slide
            if (row, column) not in self._kept:
                self._kept[row, column] = self._drawn(slide, row, column)
            self._kept.move_to_end((row, column))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[row, column]

    def _drawn(self, slide: Pixels, row: int, column: int) -> Label:
        """Nuclei of a window whose centroid lies in its core, numbered from 1."""
        fine = round(NUCLEI_MPP / ANALYSIS_MPP)
        top, left = ((n * CORE_PX - RIM_PX) * fine for n in (row, column))
        image = slide.read(left, top, WINDOW_PX * fine, WINDOW_PX * fine, ANALYSIS_MPP)
        if int(np.ptp(image)) < _PLAIN:
            return np.zeros((WINDOW_PX, WINDOW_PX), np.int32)
        how = cv2.INTER_AREA if self._side <= len(image) else cv2.INTER_LINEAR
        shown = cv2.resize(image, (self._side, self._side), interpolation=how)
        return _in_core(self._labels(np.asarray(shown, np.uint8)))

    def _labels(self, image: npt.NDArray[np.uint8]) -> Label:
        try:
            answer = self._network(image)
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise DetectorError(
                "detector_failed", f"The nucleus detector {self.name} failed: {first}"
            ) from error
        if answer.shape != image.shape[:2] or not np.isfinite(answer).all():
            raise DetectorError(
                "detector_failed",
                f"The nucleus detector {self.name} answered {answer.shape} to a picture of "
                f"{image.shape[:2]} px: a label map of its size was expected.",
            )
        if (answer < 0).any() or (answer != np.rint(answer)).any():
            raise DetectorError(
                "detector_failed",
                f"The nucleus detector {self.name} answered with other than whole numbers from 0: "
                "that is no label map.",
            )
        labels = answer.astype(np.int32)
        if len(labels) == WINDOW_PX:
            return labels
        nearest = (np.arange(WINDOW_PX) + 0.5) * len(labels) / WINDOW_PX
        return labels[np.ix_(*[nearest.astype(np.intp)] * 2)]


def _covering(start: int, length: int, most: int) -> range:
    """Numbers, of `most`, of the windows that reach into `length` px from `start`, on one axis."""
    first = (start - CORE_PX - RIM_PX) // CORE_PX + 1
    return range(max(0, first), min(most, (start + length + RIM_PX - 1) // CORE_PX + 1))


def _in_core(labels: Label) -> Label:
    flat = np.flatnonzero(labels)
    number = labels.ravel()[flat]
    if not len(number):
        return np.zeros_like(labels)
    row, col = np.divmod(flat, labels.shape[1])
    many = np.bincount(number)
    inside = many > 0
    for place in (row, col):
        middle = np.bincount(number, place) / np.maximum(many, 1) + 0.5
        inside &= (middle >= RIM_PX) & (middle < RIM_PX + CORE_PX)
    anew = np.where(inside, np.cumsum(inside), 0).astype(np.int32)
    return np.asarray(anew[labels], np.int32)


def _paint(out: Label, window: Label, top: int, left: int, count: int) -> int:
    """Add a window's nuclei, its corner at (top, left) of `out`; return how many there are now."""
    height, width = out.shape
    here = np.s_[max(top, 0) : top + WINDOW_PX, max(left, 0) : left + WINDOW_PX]
    part = window[max(-top, 0) : height - top, max(-left, 0) : width - left]
    there = out[here]
    size = np.bincount(part.ravel(), minlength=1)
    over = np.bincount(part[there > 0], minlength=len(size))
    fresh = (over < _SAME * np.maximum(size, 1)) & (np.arange(len(size)) > 0)
    new = fresh[part] & (there == 0)
    there[new] = part[new] + count
    return count + len(size) - 1
