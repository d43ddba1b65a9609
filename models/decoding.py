"""Pictures decoded strictly: what a decoder complains of is an error, never a grey rest.

libvips goes on after most complaints of libjpeg and libtiff. Some stop it (`fail_on`), some are
only logged, some only stand in its error buffer: all three are listened to here.
"""

import logging
import mmap
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvips
from simplejpeg import decode_jpeg as decode_jpeg_strictly
from simplejpeg import decode_jpeg_header

LOGGER = logging.getLogger("pyvips")
"""Where pyvips hands on what libvips and the libraries below it warn of."""
TURN = threading.RLock()
"""libvips has one error buffer a process: one strict decoding at a time."""
# a file is decoded once: remembered operations would only hold memory and open files, and would
# answer for another file of the same name
pyvips.cache_set_max(0)

QUIET_ABOUT = (
    # where it happened, never the reason
    "error in tile",
    "read gave",
    # of a colour profile, which is judged elsewhere and damages no pixel
    "VipsIcc:",
    "icc_import:",
    # of the pixels' size, not of the pixels
    "unknown JFIF resolution unit",
)
"""What libvips says that is no complaint of pixels."""


Coded = bytes | mmap.mmap
END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN, END = 0xDA, 0xD9
ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Marks that no length follows."""
MARK = re.compile(rb"\xff+([^\0\xff])")
MARK_BEHIND_CODE = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")
"""Within coded pixels a mark is one that neither stands for a byte nor lets a decoder restart."""
PADDING = b"\0\xff"
MOST_PADDED = 2**30
"""Bytes of a JPEG of which a copy without padding is made."""
OVER = "extraneous bytes"
"""How libjpeg says that there are more coded bytes than pixels."""
OF_THE_HEAD = ("Unknown Adobe color transform", "Warning: unknown JFIF revision")
INKS = ("CMYK", "YCCK")
EIGHTH = 8


class PictureDamaged(ValueError):
    """A decoder met pixels that it could only guess; the text says what it said."""


class Complaints(logging.Handler):
    """What decoders say of pixels, in order.

    The same was said on opening: then it is of the directory (an unknown tag, an odd profile).
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._of_the_head: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().removeprefix("VIPS: ").strip()
        if text and not text.startswith(QUIET_ABOUT):
            self.said.append(text)

    def head_is_read(self) -> None:
        """Take what was said until now as said of the file's head."""
        self.collect()
        self._of_the_head |= set(self.said)
        self.said.clear()

    def collect(self) -> None:
        """Take what libvips noted as an error and went on."""
        noted = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")
        pyvips.vips_lib.vips_error_clear()
        lines = (line.strip() for line in noted.splitlines())
        self.said += [line for line in lines if line and not line.startswith(QUIET_ABOUT)]

    def judge(self) -> None:
        """Raise PictureDamaged if anything was said of pixels until now.

        To be called before libvips is asked for anything else: it forgets what it noted.
        """
        self.collect()
        of_pixels = [text for text in self.said if text not in self._of_the_head]
        if of_pixels:
            raise PictureDamaged(of_pixels[0])


@contextmanager
def strictly() -> Iterator[Complaints]:
    """Listen while pixels are decoded; at the end raise PictureDamaged for what was said.

    An error of libvips passes through as it is. Who decodes in two passes judges after the first.
    """
    with TURN:
        complaints = Complaints()
        level = LOGGER.level
        LOGGER.addHandler(complaints)
        LOGGER.setLevel(logging.WARNING)
        pyvips.vips_lib.vips_error_clear()
        try:
            yield complaints
            complaints.judge()
        finally:
            LOGGER.removeHandler(complaints)
            LOGGER.setLevel(level)


def opened(path: Path, **options: Any) -> pyvips.Image:
    """Open a PNG, JPEG or TIFF by its content; only its head is read. Raises pyvips.Error.

    Of a TIFF also odd tags are warnings, so there only errors stop libvips, and the rest is
    left to `strictly`.
    """
    loader, fail_on = loader_of(path)
    return loader(str(path), access="sequential", fail_on=fail_on, **options)


def loader_of(path: Path) -> tuple[Any, str]:
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"\x89PNG":
        return pyvips.Image.pngload, "warning"
    if head[:3] == b"\xff\xd8\xff":
        return pyvips.Image.jpegload, "warning"
    return pyvips.Image.tiffload, "error"


def check_jpeg(data: Coded, *, most_pixels: int | None = None) -> None:
    """Hold a JPEG's coded pixels to their end; what follows it is not looked at.

    Raises PictureDamaged, also for one of more than `most_pixels`, before it is decoded.

    Flipped bits shift what follows, and where that needs fewer bytes than there are, most decoders
    stop at the picture's last row and never see the rest. This one reads on to the end's mark.
    What a flipped bit leaves decodable to the byte can't be known: JPEG has no checksum.
    """
    try:
        decode_jpeg(data, most_pixels)
    except ValueError as error:
        if OVER not in str(error) or not is_padded(data):
            raise PictureDamaged(str(error)) from error


def is_padded(data: Coded) -> bool:
    """Say whether all that is left over before a JPEG's end is padding, which some writers add."""
    end = end_of(data)
    if end is None or end > MOST_PADDED:
        return False
    try:
        decode_jpeg(data[:end].rstrip(PADDING) + END_OF_IMAGE)
    except ValueError:
        return False
    return True


def end_of(data: Coded) -> int | None:
    """Return where the mark stands that ends a JPEG's picture; None if it has none.

    Its notes may hold a small picture with an end of its own, and others may follow it.
    """
    at = len(END_OF_IMAGE)
    while mark := MARK.match(data, at):
        kind, at = mark[1][0], mark.end()
        if kind == END:
            return at - len(END_OF_IMAGE)
        if kind in ALONE:
            continue
        at += int.from_bytes(data[at : at + 2], "big")
        if kind == START_OF_SCAN:
            behind = MARK_BEHIND_CODE.search(data, at)
            if behind is None:
                return None
            at = behind.start()
    return None


def check_jpeg_file(path: Path) -> None:
    """Hold a JPEG file to its end; other files pass. Raises PictureDamaged."""
    with path.open("rb") as file:
        if file.read(3) != b"\xff\xd8\xff":
            return
        # mapped: what follows the picture may be of any size
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_jpeg(data)


def decode_jpeg(data: Coded, most_pixels: int | None = None) -> None:
    """Decode a JPEG to its end mark; an eighth of its size costs least. Raises ValueError."""
    try:
        height, width, space, _ = decode_jpeg_header(data, strict=False)
    except KeyError:
        # the reader's own, of colours that it has no name for
        raise ValueError("its head names no colours") from None
    if most_pixels is not None and height * width > most_pixels:
        raise ValueError(f"its head claims {width} × {height} pixels")
    colours = "CMYK" if space in INKS else "GRAY"
    try:
        decode_jpeg_strictly(data, colours, min_factor=EIGHTH)
    except ValueError as error:
        if not str(error).startswith(OF_THE_HEAD):
            raise


def check_whole(path: Path, **options: Any) -> None:
    """Decode a picture to its end and keep nothing. Raises PictureDamaged."""
    check_jpeg_file(path)
    try:
        with strictly() as complaints:
            image = opened(path, **options)
            complaints.head_is_read()
            image.avg()
    except pyvips.Error as error:
        lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
        raise PictureDamaged(lines[0] if lines else "the file is damaged") from error
