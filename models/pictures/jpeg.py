"""What a JPEG says before its pixels: EXIF, JFIF density, and other pictures behind the first."""

import struct
import warnings
from typing import Any, BinaryIO

from PIL import JpegImagePlugin

from models.pictures import exif
from models.pictures.inside import (
    CENTIMETRE_UM,
    INCH_UM,
    Inside,
    Resolution,
    orientation_in,
    positive,
    resolution_in,
)

JFIF_UNITS = {1: INCH_UM, 2: CENTIMETRE_UM}
MOST_PICTURES = 100


def inside(file: BinaryIO) -> list[Inside]:
    """Return the pictures of a JPEG: one, or with a camera's multi-picture format (MPF) several."""
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # not Image.open: it refuses sizes that can well be streamed
            picture: Any = JpegImagePlugin.jpeg_factory(file)
            first = of_first(picture)
            count = min(getattr(picture, "n_frames", 1), MOST_PICTURES)
            others = [size_at(picture, number) for number in range(1, count)]
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return []
    return [first, *(Inside(*size, page=number) for number, size in enumerate(others, 1))]


def size_at(picture: Any, number: int) -> tuple[int, int]:
    picture.seek(number)
    width, height = picture.size
    return width, height


def of_first(picture: Any) -> Inside:
    tags = exif.tags_of(picture.info.get("exif"))
    resolutions = resolution_in(tags, "EXIF")
    if "jfif_density" in picture.info:
        across, down = (positive(each) for each in picture.info["jfif_density"])
        unit = JFIF_UNITS.get(picture.info.get("jfif_unit", 0))
        if across and down:
            resolutions.append(Resolution("JFIF", across, down, unit))
    width, height = picture.size
    return Inside(
        width,
        height,
        orientation=orientation_in(
            tags.get(exif.ORIENTATION), exif.orientation_in_xmp(picture.info.get("xmp"))
        ),
        resolutions=tuple(resolutions),
    )
