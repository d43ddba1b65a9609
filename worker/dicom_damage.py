"""Damage of a DICOM slide: a level with missing tiles refuses it, undecodable tiles are named."""

from pathlib import Path

from backend.slides.reading import dicom
from backend.slides.reading.damage import DamagedTile, tiles_at
from backend.slides.reading.dicom import Instance
from backend.slides.reading.reader import OpenSlideReader
from models import decoding
from worker.chunks import Stopping, never, undecodable
from worker.layout import level_size, levels_of

ONE_AFTER_ANOTHER = "TILED_FULL"
"""Every tile is there, row by row; otherwise each says for itself where it lies."""


def check_frames(
    path: Path, reader: OpenSlideReader, stopping: Stopping = never
) -> tuple[DamagedTile, ...]:
    """Return the tiles that are not to be read; raise DicomUnsupported for a level in parts.

    path: one of the slide's files; OpenSlide takes those of its series from the same folder.
    """
    return tuple(
        tile for level in levels_beside(path) for tile in damaged_tiles(level, reader, stopping)
    )


def levels_beside(path: Path) -> list[Instance]:
    instances = (
        dicom.read_instance(each) for each in sorted(path.parent.iterdir()) if each.is_file()
    )
    levels = [each for each in instances if each is not None and each.is_level]
    series = {each.text("SeriesInstanceUID") for each in levels if each.path == path}
    return [each for each in levels if each.text("SeriesInstanceUID") in series]


def damaged_tiles(
    level: Instance, reader: OpenSlideReader, stopping: Stopping
) -> list[DamagedTile]:
    check = decoding.check_jpeg if level.syntax == dicom.JPEG else taken
    first = level.number("ConcatenationFrameOffsetNumber", 0)
    bad = [first + each for each in undecodable(dicom.frames(level), check, stopping)]
    if level.text("DimensionOrganizationType") != ONE_AFTER_ANOTHER:
        return []
    size = level.number("TotalPixelMatrixColumns", 0), level.number("TotalPixelMatrixRows", 0)
    tile = level.number("Columns", 0), level.number("Rows", 0)
    for number in range(levels_of(reader)):
        if level_size(reader, number) == size:
            return tiles_at(bad, level=number, level_width=size[0], tile=tile)
    return []


def taken(frame: bytes) -> None:
    """Take a frame as it is: what other compressions complain of, OpenSlide makes an error."""
