"""The whole slide, small: read piece by piece, so that a damaged piece leaves only a gap."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.kit.geometry import Region0, SizePx
from backend.slides.reading.reader import GLASS, RegionUnreadable, Rgb, SlideReader, blocks

BLOCK_PX = 512
"""Side of a piece in overview pixels, for slides with coarse levels."""
READ_PX0 = 2048
"""Most level pixels one piece reads a side, whatever the slide's levels: bounds the memory."""

SMALLEST_PX0 = 64
"""A damaged piece is looked at in parts down to a small tile, so that what is whole is seen."""
MOST_REFUSALS = 500
"""Every refusal costs opening the file again: past this many, whole pieces are given up."""


@dataclass(frozen=True)
class Overview:
    """A slide at low power. `unreadable` marks pixels whose source is damaged (shown as glass)."""

    image: Rgb  # (H, W, 3)
    unreadable: npt.NDArray[np.bool_]  # (H, W)
    downsample: float
    """Level-0 px per overview px."""

    @property
    def nothing_readable(self) -> bool:
        return bool(self.unreadable.all())


def fitting(dimensions: SizePx, longest: int) -> float:
    """Return the downsample at which the longer side has at most `longest` pixels."""
    return max(1.0, max(dimensions) / longest)


def read_overview(reader: SlideReader, downsample: float) -> Overview:
    """Read the whole slide at a downsample ≥ 1, in bounded memory."""
    width0, height0 = reader.dimensions
    size = max(1, math.ceil(width0 / downsample)), max(1, math.ceil(height0 / downsample))
    region = Region0(0, 0, size[0] * downsample, size[1] * downsample)
    return Overview(*read_over_gaps(reader, region, size), downsample)


def read_over_gaps(
    reader: SlideReader, region: Region0, size: SizePx
) -> tuple[Rgb, npt.NDArray[np.bool_]]:
    """Read a level-0 box piece by piece; say which pixels are damaged (shown as glass)."""
    across, down = region.width / size[0], region.height / size[1]
    image = np.full((size[1], size[0], 3), GLASS, np.uint8)
    unreadable = np.zeros((size[1], size[0]), np.bool_)
    pieces = list(blocks(*size, piece_px(reader, max(across, down))))
    smallest = max(1, round(SMALLEST_PX0 / max(across, down)))
    refusals = 0
    while pieces:
        box = pieces.pop()
        rows = slice(int(box.y), int(box.bottom))
        columns = slice(int(box.x), int(box.right))
        source = Region0(
            region.x + box.x * across,
            region.y + box.y * down,
            box.width * across,
            box.height * down,
        )
        try:
            image[rows, columns] = reader.read(source, (int(box.width), int(box.height)))
        except RegionUnreadable:
            refusals += 1
            if max(box.width, box.height) <= smallest or refusals > MOST_REFUSALS:
                unreadable[rows, columns] = True
            else:
                pieces += quarters(box)
    return image, unreadable


def quarters(box: Region0) -> list[Region0]:
    """Return a piece in four (or two), on whole pixels."""
    half_width, half_height = math.ceil(box.width / 2), math.ceil(box.height / 2)
    return [
        Region0(x, y, min(half_width, box.right - x), min(half_height, box.bottom - y))
        for y in (box.y, box.y + half_height)
        for x in (box.x, box.x + half_width)
        if x < box.right and y < box.bottom
    ]


def piece_px(reader: SlideReader, downsample: float) -> int:
    """Return the side of a piece, so that no reading takes more than READ_PX0 level pixels."""
    fits = [each for each in reader.level_downsamples if each <= downsample * 1.01]
    ratio = downsample / max(fits, default=1.0)
    return max(1, min(BLOCK_PX, int(READ_PX0 / ratio)))
