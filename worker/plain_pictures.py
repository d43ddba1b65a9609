"""Plain pictures (PNG, JPEG, TIFF) as 8-bit RGB: opened, judged, scaled; never guessed.

The one door for the service's conversion and for the file commands, so that both see the same
pixels or the same refusal.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from backend.kit.errors import Unprocessable
from backend.slides.reading import pixel_kinds, tiff
from backend.slides.reading.colour import ProfileUnusable, to_srgb
from backend.slides.reading.formats import (
    ImageTooLarge,
    SlideTruncated,
    UnsupportedFormat,
    refuse_blank,
)
from backend.slides.reading.pixel_kinds import UnsupportedPixels
from backend.slides.reading.reader import Rgb, SlideUnreadable
from models import decoding
from models.decoding import Complaints, PictureDamaged
from models.pictures.turning import upright
from worker import chunks
from worker.layout import Layout, layout_of

WHOLE_PIXELS = 60_000_000
"""Pixels of a kind of file that a decoder holds whole: about 360 MB of coefficients."""
WORD_BITS = 16
FEWEST_BITS = 15
"""A picture of 16 bits whose brightest value needs fewer holds 10, 12 or 14 bits: which, is not
known, and read as 16 it would be black."""
PROFILE = "icc-profile-data"
PNG_DEPTH_AT = 24
MOST_BANDS = 4
NO_COMPRESSION = pixel_kinds.COMPRESSIONS[1]
NOT_PIXELS = "the data is not what the file says it holds"
PREFIX = re.compile(r"^(?:\w+: |Error -?\d+ while decompressing data: )+")
"""What libraries begin with: `tiff2vips: `."""
FUNCTION = re.compile(r"\w+\(\)")


@contextmanager
def decoded_strictly(
    path: Path, layout: Layout, *, most_pixels: int
) -> Iterator[tuple[pyvips.Image, Complaints]]:
    """Yield a file's picture as 8-bit RGB over white glass; decode it before the block ends.

    It is as stored: not yet turned. Raise what is wrong with it, also after the block: every
    complaint of a decoder is an error. Let them be judged as soon as it is decoded.
    """
    with in_words(path), decoding.strictly() as complaints:
        image = open_picture(path, layout, most_pixels=most_pixels)
        check_ends(path, layout)
        complaints.head_is_read()
        bits = bits_of(path, layout, image)
        if layout.drops_channel:
            image = image.extract_band(0, n=image.bands - 1)
        yield as_rgb(image, bits=bits), complaints


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except PictureDamaged as damage:
        raise SlideUnreadable(
            damage_in_words("picture", compression_of(path), str(damage))
        ) from damage
    except pyvips.Error as error:
        raise broken(error) from error


def look_into(path: Path, *, most_pixels: int, layout: Layout | None = None) -> Layout:
    """Return which picture of a file is shown, and how. Raise what is wrong with it.

    Transparency that hides all of a picture is none: some programs leave a channel of zeros.
    layout: of the picture that is meant, if it is not the file's choice.
    """
    layout = layout or layout_of(path)
    with in_words(path), decoding.strictly() as complaints:
        image = open_picture(path, layout, most_pixels=most_pixels)
        complaints.head_is_read()
        hidden = (
            not layout.drops_channel
            and image.hasalpha()
            and image.extract_band(image.bands - 1).max() == 0
        )
    return replace(layout, hidden=hidden)


def rgb_of(path: Path, layout: Layout | None = None, *, most_pixels: int) -> Rgb:
    """Return a picture's pixels upright, uint8 (H, W, 3). Raise what is wrong with it.

    layout: if it was looked into before.
    """
    layout = layout or look_into(path, most_pixels=most_pixels)
    with decoded_strictly(path, layout, most_pixels=most_pixels) as (image, complaints):
        stored: Rgb = image.numpy()
        complaints.judge()
        profile = image.get(PROFILE) if PROFILE in image.get_fields() else None
    stored = in_srgb(stored, profile)
    return np.ascontiguousarray(upright(stored, layout.shown.orientation))


def in_srgb(pixels: Rgb, profile: bytes | None) -> Rgb:
    """Bring a picture's pixels to sRGB by its profile, as a slide's are; an odd one is none."""
    try:
        transform = to_srgb(profile)
    except ProfileUnusable:
        return pixels
    return transform(pixels) if transform else pixels


def has_odd_profile(path: Path, layout: Layout) -> bool:
    """Say whether a picture has a colour profile that can't be followed: a pyramid loses it."""
    try:
        if is_png(path):
            # libpng keeps no profile that it doubts
            with Image.open(path) as picture:
                profile = picture.info.get("icc_profile")
        else:
            image = decoding.opened(path, **layout.place)
            profile = image.get(PROFILE) if PROFILE in image.get_fields() else None
    except (pyvips.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return is_odd(profile)


def is_odd(profile: bytes | None) -> bool:
    """Say whether a colour profile can't be followed; no profile is none to follow."""
    try:
        to_srgb(profile)
    except ProfileUnusable:
        return True
    return False


def open_picture(path: Path, layout: Layout, *, most_pixels: int) -> pyvips.Image:
    """Open a picture of a PNG, JPEG or TIFF; only its head is read. Raise what is wrong."""
    pixel_kinds.check(path)
    check_png(path)
    try:
        image = decoding.opened(path, **layout.place)
    except pyvips.Error as error:
        raise SlideUnreadable(f"The picture can't be opened: {first_line(error)}") from error
    if (image.width, image.height) != (layout.shown.width, layout.shown.height):
        raise SlideUnreadable("The picture can't be opened: it contradicts itself about its size.")
    pixels = image.width * image.height
    whole = "interlaced" in image.get_fields() and image.get("interlaced") == 1
    if pixels > (min(WHOLE_PIXELS, most_pixels) if whole else most_pixels):
        raise ImageTooLarge(
            f"The picture has {image.width} × {image.height} pixels, more than this installation "
            f"converts{' of an interlaced or progressive file' if whole else ''}."
        )
    refuse_blank(image.width, image.height, image.bands, path.stat().st_size)
    return image


def check_ends(path: Path, layout: Layout) -> None:
    """Hold what is compressed to its end. Raises PictureDamaged."""
    decoding.check_jpeg_file(path)
    if layout.in_directories:
        page, below = tiff.trees(path, with_places=True)[layout.shown.page]
        chunks.check(path, page if layout.shown.sub is None else below[layout.shown.sub])


def is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x89PNG"


def is_deep(path: Path) -> bool:
    """Say whether a PNG or TIFF has 16 bits a channel, of which Pillow would keep the upper eight.

    In such samples lie 10, 12, 14 or 16 bits: which, `bits_of` finds out or refuses.
    """
    if is_png(path):
        with path.open("rb") as file:
            return file.read(PNG_DEPTH_AT + 1)[PNG_DEPTH_AT:] == bytes([WORD_BITS])
    return pixel_kinds.is_deep(path)


def check_png(path: Path) -> None:
    """Refuse a PNG of one bit, grey or of a palette, as a TIFF of one bit is."""
    with path.open("rb") as file:
        head = file.read(PNG_DEPTH_AT + 1)
    if head.startswith(b"\x89PNG") and head[PNG_DEPTH_AT:] == b"\x01":
        raise UnsupportedPixels(pixel_kinds.ONE_BIT)


def bits_of(path: Path, layout: Layout, image: pyvips.Image) -> int:
    """Return how many bits of its samples a picture uses. Raise where that can't be known."""
    if image.format != "ushort":
        return pixel_kinds.BYTE
    declared = pixel_kinds.declared_bits(path)
    # a stream is read once: its brightest value takes a reading of its own
    again = decoding.opened(path, **layout.place)
    if layout.drops_channel or again.hasalpha():
        again = again.extract_band(0, n=again.bands - 1)
    needed = int(again.max()).bit_length()
    if declared is None and needed < FEWEST_BITS:
        raise UnsupportedPixels(
            f"The file has 16 bits a channel, but no value above {2**needed - 1} of 65535: it "
            "seems to hold 10, 12 or 14 bits and does not say which is white. Export it with 8 "
            "bits a channel."
        )
    if declared is not None and needed > declared:
        raise UnsupportedPixels(
            f"The file says that it uses {declared} of its 16 bits, but has values of {needed}. "
            "Export it with 8 bits a channel."
        )
    return declared or WORD_BITS


def as_rgb(image: pyvips.Image, *, bits: int = pixel_kinds.BYTE) -> pyvips.Image:
    """Return 8-bit RGB over white glass; refuse what has no plain colours.

    bits: how many of its bits a sample uses: all of them set is white.
    """
    if image.bands > MOST_BANDS or image.format not in {"uchar", "ushort"}:
        raise UnsupportedFormat(
            f"The picture has {image.bands} channels of type {image.format}; taken are 8- and "
            "16-bit grey or RGB pictures."
        )
    if image.interpretation in {"cmyk", "lab", "labq", "labs", "xyz"}:
        raise UnsupportedPixels(
            f"The picture's colours are {image.interpretation.upper()}, not a microscope's red, "
            "green and blue. Export it as RGB."
        )
    if image.format == "ushort":
        image = (image * ((2**pixel_kinds.BYTE - 1) / (2**bits - 1))).rint().cast("uchar")
        image = image.copy(interpretation="srgb" if image.bands > 2 else "b-w")
    image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=255)
    if image.bands != 3:
        raise UnsupportedFormat("The picture is neither grey nor RGB.")
    return image.cast("uchar")


def compression_of(path: Path) -> str:
    """Return the name of what a picture is compressed with."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"\x89PNG"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    pages = tiff.pages(path)
    number = pages[0].whole(tiff.Tag.COMPRESSION, 1) if pages else 0
    return pixel_kinds.COMPRESSIONS.get(number, "the decoder")


def broken(error: pyvips.Error) -> Unprocessable:
    """Say in a person's words why libvips stopped."""
    text = str(error).lower()
    if "corrupt jpeg data" in text:
        return SlideUnreadable(damage_in_words("picture", "JPEG", str(error.detail)))
    if any(word in text for word in ("truncated", "premature", "end of file", "not enough data")):
        return SlideTruncated(
            "The picture ends too early: the copy or the export was interrupted. Copy it again."
        )
    return SlideUnreadable(f"The picture can't be read to its end: {first_line(error)}")


def damage_in_words(what: str, compression: str, reason: str) -> str:
    """Say that pixels are damaged, by the name of what they are compressed with."""
    who = "the decoder" if compression == NO_COMPRESSION else compression
    return (
        f"The {what}'s pixels are damaged and can't be decoded: {who} says "
        f"“{plain(reason) or NOT_PIXELS}”. Copy the file again, or export it anew."
    )


def first_line(error: pyvips.Error) -> str:
    """Return what the library says, without paths of this server."""
    return plain(str(error.detail)) or "the file is damaged."


def plain(text: str) -> str:
    """Return the first line of a library's words, without its functions; none with a path."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines and "/" not in lines[0] else ""
    return FUNCTION.sub("decoding", PREFIX.sub("", first))
