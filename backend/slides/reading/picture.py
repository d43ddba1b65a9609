"""A picture in memory, read as a slide of one level is: the same pixels for the same boxes."""

import numpy as np
import numpy.typing as npt

from backend.kit.geometry import Region0, SizePx
from backend.slides.reading.reader import GLASS
from backend.slides.reading.resampling import drawn

Rgb = npt.NDArray[np.uint8]


class PictureReader:
    """A SlideReader over RGB pixels, uint8 (H, W, 3), bare glass beyond."""

    level_downsamples = (1.0,)

    def __init__(self, pixels: Rgb) -> None:
        self._pixels = pixels

    @property
    def dimensions(self) -> SizePx:
        height, width = self._pixels.shape[:2]
        return width, height

    def read(self, region: Region0, size: SizePx) -> Rgb:
        return drawn(region, size, self.level_downsamples, self._cut)

    def close(self) -> None:
        """Leave the pixels to whoever has them."""

    def _cut(self, corner: tuple[int, int], _level: int, size: SizePx) -> Rgb:
        (left, top), (width, height) = corner, size
        out = np.full((height, width, 3), GLASS, np.uint8)
        here = self._pixels[max(top, 0) : top + height, max(left, 0) : left + width]
        down, across = max(-top, 0), max(-left, 0)
        out[down : down + here.shape[0], across : across + here.shape[1]] = here
        return out
