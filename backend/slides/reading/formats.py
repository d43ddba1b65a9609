"""What a file is, by its content. A name is never believed; it is only heard as a contradiction.

Sniffing is cheap and runs as soon as the last byte has come, so that what can never become a
slide is refused at once; whether its pixels can be read is found out at ingest.
"""

import struct
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import openslide

from backend.kit.errors import Unprocessable
from backend.settings import Settings
from backend.slides.reading import archives, dicom, mirax, pixel_kinds, tiff

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins; the second, one without a file."""
TIFF = tiff.MAGIC
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
HEAD_BYTES = 4096
PNG_HEADER = struct.Struct(">8sI4sIIBB")
"""Signature, the chunk's length and name, width, height, bits of a sample, kind of colours."""
PNG_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
MOST_EXPANSION = 300
"""A scan of nothing but glass has its noise, and unpacks to less than this."""
FEW_PIXELS = 100_000_000
"""Up to here a picture may be as blank as it likes: it is decoded in seconds."""
SCANNER_SUFFIXES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".czi", ".dcm", ".vms", ".vmu"}
)
TEXT_CONTROLS = frozenset(b"\t\n\r\f")


class Content(StrEnum):
    """What a file holds, as far as its treatment differs."""

    SLIDE = "slide"
    DICOM = "dicom"
    ARCHIVE = "archive"
    PICTURE = "picture"


class EmptyFile(Unprocessable):
    code, title = "empty_file", "The file is empty"


class NotAnImage(Unprocessable):
    code, title = "not_an_image", "The file is not an image"


class UnsupportedFormat(Unprocessable):
    code, title = "unsupported_format", "This kind of file is not supported"


class ImageTooLarge(Unprocessable):
    code, title = "image_too_large", "The picture has too many pixels"


class SlideTruncated(Unprocessable):
    code, title = "slide_truncated", "The file is not complete"


class RenamedFile(Unprocessable):
    code, title = "renamed_file", "The file is not what its name says"


KNOWN = (
    "Taken are Aperio SVS, Hamamatsu NDPI, Leica SCN, Ventana BIF, Zeiss CZI, Philips and other "
    "tiled TIFF, MIRAX or DICOM in a zip, and PNG, JPEG or TIFF fields."
)


def refuse_empty(name: str) -> NoReturn:
    """Raise why a file without a byte is no slide; the .mrxs of a MIRAX slide may be empty."""
    mirax.check_alone(name)
    raise EmptyFile("The file has no bytes. Copy it again from the scanner's disk.")


def sniff(path: Path, *, name: str, settings: Settings) -> Content:
    """Say what a file holds, or raise why it is not taken here."""
    size = path.stat().st_size
    if size == 0:
        refuse_empty(name)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if head.startswith(ZIP):
            archives.inspect(path, settings)
            return Content.ARCHIVE
        if head.startswith((PNG, JPEG)):
            mirax.check_alone(name)
            refuse_large(head, size, settings.max_image_pixels)
            return picture(head, name)
        vendor = vendor_of(path, head)
        if vendor in {None, "dicom"}:
            dicom.check_lone(path)
        if vendor == "dicom":
            return Content.DICOM
        if vendor is not None:
            pixel_kinds.check(path, vendor)
            return Content.SLIDE
        mirax.check_alone(name)
        if head.startswith(TIFF):
            if not tiff.is_complete(file, size):
                raise SlideTruncated(
                    "The file ends before its own table of contents: the copy or the export was "
                    "interrupted. Copy it again from the scanner's disk."
                )
            pixel_kinds.check(path)
            return Content.PICTURE
    if is_text(head):
        raise NotAnImage(
            "The file holds text, not an image; a download page may have been saved in its place. "
            + KNOWN
        )
    raise UnsupportedFormat("The file's content is not a slide format known here. " + KNOWN)


def vendor_of(path: Path, head: bytes) -> str | None:
    """Return whose format OpenSlide takes a file for, if it may be opened by it.

    A VMS or VMU index is a text that names the pictures to be read, anywhere on the server.
    """
    vendor: str | None = openslide.OpenSlide.detect_format(path)
    if vendor == "hamamatsu" and not head.startswith(TIFF):
        raise UnsupportedFormat(
            "The file is the index of a Hamamatsu VMS or VMU slide, without its pictures. Export "
            "the slide as NDPI and upload that."
        )
    return vendor


def refuse_large(head: bytes, size: int, most_pixels: int) -> None:
    """Refuse a PNG by what its header says; 437 kB can hold 3.6 thousand million pixels."""
    if not head.startswith(PNG) or len(head) < PNG_HEADER.size:
        return
    _, _, name, width, height, _, colours = PNG_HEADER.unpack_from(head)
    if name != b"IHDR":
        return
    if width * height > most_pixels:
        raise ImageTooLarge(
            f"The picture has {width} × {height} pixels, more than this installation converts."
        )
    refuse_blank(width, height, PNG_BANDS.get(colours, 1), size)


def refuse_blank(width: int, height: int, bands: int, size: int) -> None:
    """Refuse a large picture that unpacks to far more than any scan does. size: bytes of its file.

    Decoding it takes minutes, and shows nothing.
    """
    pixels = width * height
    if pixels > FEW_PIXELS and pixels * bands > MOST_EXPANSION * size:
        raise ImageTooLarge(
            f"The picture has {width} × {height} pixels in a file of {size} bytes: it is blank, "
            "or made to keep a program busy."
        )


def picture(head: bytes, name: str) -> Content:
    """Take a plain picture, unless its name claims a scanner made it."""
    suffix = Path(name).suffix.lower()
    if suffix in SCANNER_SUFFIXES:
        kind = "PNG" if head.startswith(PNG) else "JPEG"
        raise RenamedFile(
            f"The file is called {suffix} but holds a plain {kind} picture without the scanner's "
            f"levels and pixel size. Upload the original slide; or, if the picture itself is "
            f"meant, name it .{kind.lower()}."
        )
    return Content.PICTURE


def is_text(head: bytes) -> bool:
    """Say whether the beginning of a file reads as text."""
    try:
        # a character may be cut at the end of what was read
        head[: len(head) - 3 if len(head) == HEAD_BYTES else None].decode()
    except UnicodeDecodeError:
        return False
    return all(byte >= ord(" ") or byte in TEXT_CONTROLS for byte in head)
