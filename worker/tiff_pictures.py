"""The pictures of a TIFF as its directories describe them, with their sub-directories.

OpenSlide tells no orientation, no resolution's unit and nothing of what it leaves out.
"""

from pathlib import Path

from backend.slides.reading import tiff
from backend.slides.reading.tiff import Page, Tag
from models.pictures import exif
from models.pictures.inside import Inside, orientation_in, resolution_in

COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""Channels by PhotometricInterpretation; what a picture has beyond them is spare."""
REDUCED, OLD_REDUCED = 1, 2
MOST_SPARE = 16


def inside_of(path: Path) -> list[Inside]:
    """Return the pictures of all directories and sub-directories, in the file's order."""
    pictures = []
    for number, (page, below) in enumerate(tiff.trees(path)):
        pictures += described(page, number, None)
        for place, sub in enumerate(below):
            pictures += described(sub, number, place)
    return pictures


def described(page: Page, number: int, sub: int | None) -> list[Inside]:
    """Return a directory's picture; none for what has no size."""
    width, height = page.whole(Tag.WIDTH), page.whole(Tag.HEIGHT)
    if width <= 0 or height <= 0:
        return []
    samples = page.whole(Tag.SAMPLES, 1)
    beyond = samples - COLOURS.get(page.whole(Tag.PHOTOMETRIC, -1), samples)
    meanings = page.numbers(Tag.EXTRA_SAMPLES)
    return [
        Inside(
            width,
            height,
            number,
            sub,
            orientation=orientation_in(
                page.whole(Tag.ORIENTATION), exif.orientation_in_xmp(page.content(Tag.XMP))
            ),
            reduced=bool(page.whole(Tag.KIND) & REDUCED) or page.whole(Tag.OLD_KIND) == OLD_REDUCED,
            spare=tuple(
                meanings[at] if at < len(meanings) else 0 for at in range(min(beyond, MOST_SPARE))
            ),
            resolutions=tuple(resolution_in(page.tags, "TIFF")),
            description=page.text(Tag.DESCRIPTION),
        )
    ]
