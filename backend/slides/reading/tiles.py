"""Deep Zoom: which part of a slide each tile shows. 256 px tiles, no overlap.

Level `n` of the Deep Zoom pyramid is the slide at 1/2^(top−n), so level 0 is one pixel and the
top level is the slide itself. Overlays use the same boxes, so that they lie on the picture.
"""

import math
from dataclasses import dataclass

from backend.kit.errors import NotFound
from backend.kit.geometry import Region0, Size0, SizePx

TILE_PX = 256


class TileOutside(NotFound):
    code, title = "tile_outside", "There is no such tile"


@dataclass(frozen=True)
class TileBox:
    """The level-0 box that a tile shows and the tile's size in pixels."""

    region: Region0
    size: SizePx


def top_level(width: int, height: int) -> int:
    """Return the Deep Zoom level that shows the slide's own pixels."""
    return math.ceil(math.log2(max(width, height, 1)))


def level_size(width: int, height: int, level: int) -> SizePx:
    shrink = 2 ** (top_level(width, height) - level)
    return math.ceil(width / shrink), math.ceil(height / shrink)


def tile_box(width: int, height: int, level: int, col: int, row: int) -> TileBox:
    """Return what a tile of a slide shows; raise TileOutside beyond the pyramid.

    At the right and lower edge the box ends with the slide, as viewers draw it.
    """
    top = top_level(width, height)
    if not 0 <= level <= top:
        raise TileOutside(f"The levels of this slide are 0 to {top}.")
    level_width, level_height = level_size(width, height, level)
    x, y = col * TILE_PX, row * TILE_PX
    if not (0 <= x < level_width and 0 <= y < level_height):
        raise TileOutside(
            f"Level {level} has {math.ceil(level_width / TILE_PX)} × "
            f"{math.ceil(level_height / TILE_PX)} tiles."
        )
    size = min(TILE_PX, level_width - x), min(TILE_PX, level_height - y)
    shrink = 2 ** (top - level)
    region = Region0(x * shrink, y * shrink, size[0] * shrink, size[1] * shrink)
    return TileBox(region.clipped(Size0(width, height)), size)


def dzi(width: int, height: int, tile_format: str = "jpeg") -> str:
    """Return the Deep Zoom descriptor."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
        f'Format="{tile_format}" Overlap="0" TileSize="{TILE_PX}">'
        f'<Size Width="{width}" Height="{height}"/></Image>\n'
    )
