"""Pictures decoded strictly: what a decoder complains of is an error, never a grey rest.

libvips goes on after most complaints of libjpeg and libtiff. Some stop it (`fail_on`), some are
only logged, some only stand in its error buffer: all three are listened to here.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvips

LOGGER = logging.getLogger("pyvips")
"""Where pyvips hands on what libvips and the libraries below it warn of."""
TURN = threading.RLock()
"""libvips has one error buffer a process: one strict decoding at a time."""
# a file is decoded once: remembered operations would only hold memory and open files, and would
# answer for another file of the same name
pyvips.cache_set_max(0)

QUIET_ABOUT = ("error in tile", "read gave", "VipsIcc:", "icc_import:")
"""How libvips says where it happened, never the reason; and what it says of a colour profile, which
is judged elsewhere and damages no pixel."""


MARK = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""What ends coded pixels of a JPEG: a marker that is neither stuffing nor a restart."""
END_OF_IMAGE = 0xD9
CUT = 2


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

    @property
    def of_pixels(self) -> list[str]:
        return [text for text in self.said if text not in self._of_the_head]


@contextmanager
def strictly() -> Iterator[Complaints]:
    """Listen while pixels are decoded; at the end raise PictureDamaged for what was said.

    An error of libvips passes through as it is.
    """
    with TURN:
        complaints = Complaints()
        level = LOGGER.level
        LOGGER.addHandler(complaints)
        LOGGER.setLevel(logging.WARNING)
        pyvips.vips_lib.vips_error_clear()
        try:
            yield complaints
            complaints.collect()
        finally:
            LOGGER.removeHandler(complaints)
            LOGGER.setLevel(level)
    if complaints.of_pixels:
        raise PictureDamaged(complaints.of_pixels[0])


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


def check_jpeg(data: bytes) -> None:
    """Hold a JPEG's coded pixels to their end. Raises PictureDamaged.

    Flipped bits shift what follows, and where that needs fewer bytes than there are, decoders
    stop at the picture's last row and never see the rest. Whole data, cut by two bytes, is too
    short and said to be; if nothing is missed, there was too much.
    """
    end = end_of_jpeg(data)
    if end is None:
        raise PictureDamaged("the data ends too early")
    try:
        with strictly():
            decode_jpeg(data)
    except pyvips.Error as error:
        raise PictureDamaged(str(error.detail).strip()) from error
    try:
        with strictly():
            decode_jpeg(data[: end - CUT] + data[end:])
    except (PictureDamaged, pyvips.Error):
        return
    raise PictureDamaged("Corrupt JPEG data: more of it than the picture has pixels")


def check_jpeg_file(path: Path) -> None:
    """Hold a JPEG file to its end; other files pass. Raises PictureDamaged."""
    with path.open("rb") as file:
        if file.read(3) == b"\xff\xd8\xff":
            check_jpeg(path.read_bytes())


def decode_jpeg(data: bytes) -> None:
    """Decode a JPEG as far as its coded data goes; an eighth of its size costs least."""
    pyvips.Image.jpegload_buffer(data, shrink=8, access="sequential", fail_on="warning").avg()


def end_of_jpeg(data: bytes) -> int | None:
    """Return where the mark of the end of a JPEG's first picture stands, None without one."""
    at = 2
    while (mark := MARK.search(data, at)) is not None:
        at = mark.start()
        if data[at + 1] == END_OF_IMAGE:
            return at
        # a segment says how long it is; coded pixels follow the last one
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


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
