"""Which picture of a file is the slide, and what is left out: nothing goes without a word.

The largest picture is the slide, wherever it stands. Its own smaller copies (levels, a thumbnail
that the file calls one) are not content; every other picture is, and is named.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from backend.kit.errors import Unprocessable
from backend.slides.reading import colour
from backend.slides.reading.formats import TIFF
from backend.slides.reading.pixel_kinds import TRUSTED
from backend.slides.reading.reader import OpenSlideReader, SlideUnreadable
from models.pictures import plain
from models.pictures.inside import Inside
from models.pictures.turning import upright_size
from worker import tiff_pictures

PICTURES_LEFT_OUT, CHANNEL_LEFT_OUT = "pictures_left_out", "channel_left_out"
FILES_LEFT_OUT = "files_left_out"
TURNED_UPRIGHT, BOUNDS_IGNORED = "turned_upright", "bounds_ignored"
CODES = {
    PICTURES_LEFT_OUT: "it holds several pictures, of which the largest is read and the others "
    "are left out",
    FILES_LEFT_OUT: "its zip holds pictures or DICOM objects beside the slide, which are left out",
    CHANNEL_LEFT_OUT: "it has a channel that is neither colour nor transparency of any use, which "
    "is left out",
    TURNED_UPRIGHT: "it is stored turned, and read upright",
    BOUNDS_IGNORED: "it names a scanned part that can be none of it, and all of it is read",
    colour.UNUSABLE: "it has a colour profile that can't be followed, and its colours are read as "
    "they are stored",
}
"""What a person should know of how a file was read, in words that follow its name."""
ROUNDED = 2
"""Px by which a level's side may miss its share of the whole: each halving rounds."""
UNSPECIFIED = 0
PLAIN_TIFF = "generic-tiff"
"""OpenSlide's word for a TIFF that no scanner has signed."""
IN_PARTS = (
    "The slide is stored turned, and in parts: it can't be put upright here. Export it upright."
)
IMAGEJ_PLANES = re.compile(r"ImageJ=[^\n]*\nimages=(\d{1,9})\n")
"""Of a stack that ImageJ writes behind one directory, where other programs see one picture."""


class SeveralPictures(Unprocessable):
    code, title = "image_frames", "The file holds several pictures"


class ChannelsUnknown(Unprocessable):
    code, title = "unsupported_format", "This kind of file is not supported"


@dataclass(frozen=True)
class Layout:
    """The picture of a file that is the slide. `left_out`: how many others it holds.

    `count`: of all that the file holds, levels too. `uneven`: a level is stored otherwise.
    `in_directories`: it stands in a TIFF's directory of the picture's numbers. `hidden`: its
    transparency would hide all of it, and is not heeded.
    """

    shown: Inside
    left_out: int
    description: str
    count: int = 1
    in_directories: bool = False
    hidden: bool = False
    uneven: bool = False

    @property
    def place(self) -> dict[str, int]:
        """Return where libvips finds the picture in its file."""
        if not self.in_directories:
            return {}
        sub = {} if self.shown.sub is None else {"subifd": self.shown.sub}
        return {"page": self.shown.page} | sub

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""
        return upright_size(self.shown.width, self.shown.height, self.shown.orientation)

    @property
    def drops_channel(self) -> bool:
        """Whether there is a channel that is neither colour nor transparency of any use."""
        return self.hidden or self.shown.spare == (UNSPECIFIED,)

    @property
    def qc(self) -> tuple[str, ...]:
        """Return what a person should know of how the file was read."""
        flags = {
            PICTURES_LEFT_OUT: self.left_out,
            CHANNEL_LEFT_OUT: self.drops_channel,
            TURNED_UPRIGHT: self.shown.turned,
        }
        return tuple(code for code, holds in flags.items() if holds)


def flags_of(reader: OpenSlideReader, layout: Layout | None) -> tuple[str, ...]:
    """Return what a person should know of how a slide is read, as quality flags."""
    holding = {BOUNDS_IGNORED: reader.bounds.ignored, colour.UNUSABLE: reader.has_odd_profile}
    flags = tuple(code for code, holds in holding.items() if holds)
    return flags + (layout.qc if layout else ())


def layout_of(path: Path) -> Layout:
    """Look into a JPEG, PNG or TIFF. Raise what no picture can be chosen from."""
    with path.open("rb") as file:
        is_tiff = file.read(4).startswith(TIFF)
    inside = tiff_pictures.inside_of(path) if is_tiff else plain.inside_of(path)
    if not inside:
        raise SlideUnreadable("The picture can't be opened: it is damaged at its beginning.")
    return chosen(inside, in_directories=is_tiff)


def look_at(path: Path, reader: OpenSlideReader) -> Layout | None:
    """Return which picture of a TIFF that OpenSlide opens is the slide; None for other files.

    Of a scanner's file OpenSlide knows which pages are the slide, its label and the glass: only
    whether that slide is stored turned is looked for.
    """
    with path.open("rb") as file:
        if not file.read(4).startswith(TIFF):
            return None
    if is_plain(reader):
        return layout_of(path)
    pages = [each for each in tiff_pictures.inside_of(path) if each.sub is None]
    size = level_size(reader, 0)
    slides = [each for each in pages if (each.width, each.height) == size]
    if not slides:
        # of the tables of a large NDPI nothing can be read so: its offsets are its own
        vendor = reader.properties.get("openslide.vendor")
        if vendor not in TRUSTED and any(each.turned for each in pages):
            raise SlideUnreadable(IN_PARTS)
        return None
    shown = slides[0]
    uneven = any(shrunk(each, shown) and each.turned for each in pages)
    if (shown.turned or uneven) and reader.bounds.size != size:
        raise SlideUnreadable(IN_PARTS)
    return Layout(shown, 0, pages[0].description, in_directories=True, uneven=uneven)


def shown_by(layout: Layout, reader: OpenSlideReader) -> bool:
    """Say whether OpenSlide shows this picture, upright and in its colours, at every level.

    What it does not is for libvips: a picture that is stored turned, of which libtiff turns each
    tile in its place; one beside a smaller tiled one, or in a sub-directory; one with a channel
    beyond the colours, which is taken for transparency whatever the file says; one with a tiled
    picture of another shape beside it (a label), which is taken for a level.
    """
    shown = layout.shown
    if shown.turned or layout.uneven:
        return False
    if not is_plain(reader):
        return True
    levels = [Inside(*level_size(reader, number)) for number in range(levels_of(reader))]
    stands = shown.sub is None and (shown.width, shown.height) == level_size(reader, 0)
    return stands and not shown.spare and all(shrunk(each, shown) for each in levels)


def is_plain(reader: OpenSlideReader) -> bool:
    return reader.properties.get("openslide.vendor") == PLAIN_TIFF


def levels_of(reader: OpenSlideReader) -> int:
    return len(reader.level_downsamples)


def level_size(reader: OpenSlideReader, number: int) -> tuple[int, int]:
    """Return the width and height of a whole level, beyond the scanned part too."""
    sides = (reader.properties[f"openslide.level[{number}].{side}"] for side in ("width", "height"))
    width, height = sides
    return int(width), int(height)


def chosen(inside: list[Inside], *, in_directories: bool) -> Layout:
    most = max(each.pixels for each in inside)
    largest = [each for each in inside if each.pixels == most]
    # a copy of the same size is no choice either
    full = [each for each in largest if not each.reduced] or largest[:1]
    if len(full) > 1:
        raise SeveralPictures(
            f"The file holds {len(full)} pictures of the same size, and nothing says which of "
            "them is the slide: split them, and send the one that is meant."
        )
    shown = full[0]
    if len(shown.spare) > 1:
        raise ChannelsUnknown(
            f"The picture has {len(shown.spare)} channels beyond its colours; taken are grey and "
            "RGB pictures."
        )
    planes = IMAGEJ_PLANES.match(inside[0].description)
    if planes and int(planes[1]) > len(inside):
        raise SeveralPictures(
            f"The file is a stack of {planes[1]} pictures (ImageJ): save the one that is meant."
        )
    rest = [each for each in inside if each is not shown]
    others = [each for each in rest if not is_level(each, shown, inside)]
    if others and not in_directories and shown.page:
        raise SeveralPictures(
            f"The file holds {len(inside)} pictures, and the largest is not the first: split them, "
            "and send the one that is meant."
        )
    uneven = any(each.reduced and (each.turned or each.spare) for each in rest)
    return Layout(
        shown, len(others), inside[0].description, len(inside), in_directories, uneven=uneven
    )


def is_level(each: Inside, shown: Inside, inside: list[Inside]) -> bool:
    """Say whether a picture is a smaller copy of the shown one, or of one that is counted.

    A sub-directory of the same shape is a level even without the file's word: that is what
    OME-TIFF keeps there.
    """
    if each.reduced and shrunk(each, shown):
        return True
    parents = (other for other in inside if other.page == each.page and other.sub is None)
    return each.sub is not None and any(shrunk(each, parent) for parent in parents)


def shrunk(small: Inside, large: Inside) -> bool:
    """Say whether a picture has the shape of another and is no larger."""
    step = large.width / small.width
    return step >= 1 and abs(small.height - large.height / step) <= ROUNDED + large.height / (
        step * small.width
    )
