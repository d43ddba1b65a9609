"""A network as a detector: run on windows of the slide's own grid, so that tiles agree.

A network's answer depends on all that it is shown. Shown whatever tile is being measured, it would
draw a nucleus otherwise in another tile, and after a local edit; shown fixed windows, it never
does.
"""

import math
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

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
KEPT = 128
_PLAIN = 16
"""Grey levels: a window with less contrast is glass, of which percentiles would make a picture."""
_SAME = 0.5
"""Of a nucleus drawn over one that is there: it is the same one, seen from the next window."""


@dataclass(frozen=True)
class Grid:
    """Windows of the slide's own grid, px of NUCLEI_MPP: a core each, and a rim round it."""

    core: int = CORE_PX
    rim: int = RIM_PX

    @property
    def window(self) -> int:
        return self.core + 2 * self.rim

    def covering(self, start: int, length: int, most: int) -> range:
        """Numbers, of `most`, of windows that reach into `length` px from `start`, on one axis."""
        first = (start - self.core - self.rim) // self.core + 1
        return range(max(0, first), min(most, (start + length + self.rim - 1) // self.core + 1))


class Windowed:
    """The nuclei of one slide by a network that wants `mpp` µm per pixel. Threads may share it.

    at_once: how many windows may be drawn at a time; a network that uses all processors by itself
    wants one.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        mpp: float,
        *,
        grid: Grid | None = None,
        at_once: int = 1,
    ) -> None:
        self.name = name
        self.grid = grid or Grid()
        self._network = network
        self._side = max(1, round(self.grid.window * NUCLEI_MPP / mpp))
        self._kept: OrderedDict[tuple[int, int], Future[Label]] = OrderedDict()
        self._slide: Pixels | None = None
        self._lock = Lock()
        self._turns = BoundedSemaphore(at_once)

    def __call__(self, view: View) -> Label:
        """See models.her2.nuclei.Detector. Raise DetectorError for what is no label map."""
        height, width = view.image.shape[:2]
        out = np.zeros((height, width), np.int32)
        count = 0
        # beyond the slide there are no nuclei to be in a core
        core, rim = self.grid.core, self.grid.rim
        rows = math.ceil(scaled(view.slide.height, view.slide.mpp, NUCLEI_MPP) / core)
        columns = math.ceil(scaled(view.slide.width, view.slide.mpp, NUCLEI_MPP) / core)
        for row in self.grid.covering(view.top, height, rows):
            for column in self.grid.covering(view.left, width, columns):
                top, left = row * core - rim, column * core - rim
                detections = self._window(view.slide, row, column)
                count = _paint(out, detections, top - view.top, left - view.left, count)
        return out

    def _window(self, slide: Pixels, row: int, column: int) -> Label:
        """Draw a window, or wait for whoever draws it: neighbouring tiles want the same ones."""
        with self._lock:
            if slide is not self._slide:
                self._kept.clear()
                self._slide = slide
            waiting = self._kept.get((row, column))
            mine: Future[Label] = Future()
            if waiting is None:
                self._kept[row, column] = mine
            self._kept.move_to_end((row, column))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if waiting is not None:
            return waiting.result()
        try:
            with self._turns:
                mine.set_result(self._drawn(slide, row, column))
        except BaseException as error:
            with self._lock:
                if self._kept.get((row, column)) is mine:
                    del self._kept[row, column]
            mine.set_exception(error)
            raise
        return mine.result()

    def _drawn(self, slide: Pixels, row: int, column: int) -> Label:
        """Nuclei of a window whose centroid lies in its core, numbered from 1."""
        fine, window = round(NUCLEI_MPP / ANALYSIS_MPP), self.grid.window
        top, left = ((n * self.grid.core - self.grid.rim) * fine for n in (row, column))
        image = slide.read(left, top, window * fine, window * fine, ANALYSIS_MPP)
        if int(np.ptp(image)) < _PLAIN:
            return np.zeros((window, window), np.int32)
        how = cv2.INTER_AREA if self._side <= len(image) else cv2.INTER_LINEAR
        shown = cv2.resize(image, (self._side, self._side), interpolation=how)
        return _in_core(self._labels(np.asarray(shown, np.uint8)), self.grid)

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
        window = self.grid.window
        if len(labels) == window:
            return labels
        nearest = (np.arange(window) + 0.5) * len(labels) / window
        return labels[np.ix_(*[nearest.astype(np.intp)] * 2)]


def _in_core(labels: Label, grid: Grid) -> Label:
    """Keep nuclei whose centroid lies in the core, numbered anew from 1."""
    many = np.bincount(labels.ravel())
    inside = many > 0
    inside[0] = False
    # only what reaches into the rim can have its middle there
    core = slice(grid.rim, grid.rim + grid.core)
    reaching = np.zeros_like(inside)
    for strip in (
        labels[: core.start],
        labels[core.stop :],
        labels[core, : core.start],
        labels[core, core.stop :],
    ):
        reaching[strip.ravel()] = True
    flat = np.flatnonzero(np.take(reaching & inside, labels))
    number = labels.ravel()[flat]
    for place in np.divmod(flat, labels.shape[1]):
        middle = np.bincount(number, place, len(many)) / np.maximum(many, 1) + 0.5
        inside &= ~reaching | ((middle >= core.start) & (middle < core.stop))
    anew = np.where(inside, np.cumsum(inside), 0).astype(np.int32)
    return np.asarray(np.take(anew, labels), np.int32)


def _paint(out: Label, window: Label, top: int, left: int, count: int) -> int:
    """Add a window's nuclei, its corner at (top, left) of `out`; return how many there are now."""
    height, width = out.shape
    here = np.s_[max(top, 0) : top + len(window), max(left, 0) : left + len(window)]
    part = window[max(-top, 0) : height - top, max(-left, 0) : width - left]
    there = out[here]
    most = int(part.max(initial=0))
    new = (part > 0) & (there == 0)
    met = part[there > 0]
    if met.any():
        size = np.bincount(part.ravel(), minlength=1)
        over = np.bincount(met, minlength=len(size))
        new &= (over < _SAME * np.maximum(size, 1))[part]
    np.copyto(there, part + np.int32(count), where=new)
    return count + most
