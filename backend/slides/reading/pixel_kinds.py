"""Which pixels of a TIFF are read right here, by what its pages say of them.

Decoders answer what they don't know with black or with the upper eight bits, and warn nobody who
listens. So what is not known to be decoded is refused before a pixel is read, by its name.
"""

import re
from pathlib import Path

from backend.kit.errors import Unprocessable
from backend.slides.reading import tiff
from backend.slides.reading.tiff import Page, Tag

COMPRESSIONS = {
    1: "none",
    2: "CCITT RLE",
    3: "CCITT Group 3",
    4: "CCITT Group 4",
    5: "LZW",
    6: "old-style JPEG",
    7: "JPEG",
    8: "Deflate",
    9: "JBIG",
    10: "JBIG",
    22610: "JPEG XR",
    32766: "NeXT",
    32771: "CCITT RLE",
    32773: "PackBits",
    32809: "ThunderScan",
    32908: "PixarFilm",
    32909: "PixarLog",
    32946: "Deflate",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34713: "Nikon NEF",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    34926: "ZSTD",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Names of TIFF's numbers."""
DECODED = frozenset({1, 5, 7, 8, 32773, 32946, 50001})
"""What this build decodes: held by a decoding of each (tests/backend/test_pixel_kinds.py)."""
DECODED_OF = {"aperio": frozenset({33003, 33005})}
"""What OpenSlide decodes besides in a vendor's files."""
TRUSTED = frozenset({"hamamatsu"})
"""Vendors whose files are no plain TIFF (offsets of NDPI) and whose only compression is JPEG."""

COLOURS = {
    4: "a mask",
    5: "the inks of a press (CMYK)",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "a camera's raw mosaic",
    32844: "LogL",
    32845: "LogLuv",
    34892: "a camera's raw data",
}
READ_COLOURS = frozenset({0, 1, 2, 3, 6})
"""Greys either way up, RGB, palettes, YCbCr."""
GREYS = frozenset({0, 1})
RGB, PALETTE, YCBCR = 2, 3, 6
JPEG, PACKBITS = 7, 32773
SEPARATE = 2
YCBCR_DECODED = frozenset({7, 33003})
"""Compressions that turn YCbCr into RGB as they decode."""
SAMPLE_FORMATS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
BYTE, WORD = 8, 16
ONE_BIT = "The file has one bit a pixel, black or white: nothing of a stain is left in it."
SIGNIFICANT_BITS = re.compile(r"""\sSignificantBits\s*=\s*["'](\d+)["']""")


class UnsupportedCompression(Unprocessable):
    code, title = "unsupported_compression", "The file's compression can't be read here"


class UnsupportedPixels(Unprocessable):
    code, title = "unsupported_pixels", "The file's pixels are of a kind that can't be read here"


class NotBrightfield(Unprocessable):
    code, title = "fluorescence", "This is no brightfield slide"


def check(path: Path, vendor: str | None = None) -> None:
    """Raise why the pixels of a TIFF can't be read right; other files pass.

    vendor: OpenSlide's word, None for a plain picture.
    """
    if vendor in TRUSTED:
        return
    for page in pixel_pages(tiff.pages(path)):
        check_compression(page, vendor)
        check_numbers(page)
        check_colours(page)
        check_planes(page, vendor)


def pixel_pages(pages: list[Page]) -> list[Page]:
    """Return the pages whose pixels are read: the largest, and what else is tiled (levels)."""
    largest = max(pages, key=lambda page: page.pixels, default=None)
    return [page for page in pages if page.pixels and (page is largest or page.is_tiled)]


def check_compression(page: Page, vendor: str | None) -> None:
    number = page.whole(Tag.COMPRESSION, 1)
    if number in DECODED or number in DECODED_OF.get(vendor or "", ()):
        return
    name = COMPRESSIONS.get(number, "a method unknown here")
    raise UnsupportedCompression(
        f"The file's pixels are compressed as {name} (TIFF number {number}), which this "
        "installation can't decode. Export the slide with JPEG, LZW or Deflate, or uncompressed."
    )


def check_numbers(page: Page) -> None:
    """Refuse samples that are not whole numbers of 8 or 16 bits."""
    for kind in page.numbers(Tag.SAMPLE_FORMAT):
        if kind in SAMPLE_FORMATS:
            raise UnsupportedPixels(
                f"The file's pixels are {SAMPLE_FORMATS[kind]} numbers, whose black and white "
                "nobody knows. Export it with 8 bits a channel."
            )
    bits = set(page.numbers(Tag.BITS)) or {1}
    if bits == {1}:
        raise UnsupportedPixels(ONE_BIT)
    if bits not in ({BYTE}, {WORD}):
        depths = " and ".join(str(each) for each in sorted(bits))
        raise UnsupportedPixels(
            f"The file's pixels have {depths} bits a channel; taken are 8 and 16. Export it with 8."
        )


def check_colours(page: Page) -> None:
    colours = page.whole(Tag.PHOTOMETRIC, 1)
    if colours not in READ_COLOURS:
        name = COLOURS.get(colours, f"of a kind unknown here ({colours})")
        raise UnsupportedPixels(
            f"The file's colours are {name}, not a microscope's red, green and blue. Export it "
            "as RGB."
        )
    if colours == YCBCR and page.whole(Tag.COMPRESSION, 1) not in YCBCR_DECODED:
        raise UnsupportedPixels(
            "The file's colours are YCbCr that is not compressed as JPEG: they would be shown as "
            "others. Export it as RGB."
        )
    bits = page.whole(Tag.BITS, 1)
    if bits == WORD and colours in {PALETTE, YCBCR}:
        raise UnsupportedPixels(
            "The file's colours are 16-bit numbers of a palette or of YCbCr. Export it as RGB."
        )


def check_planes(page: Page, vendor: str | None) -> None:
    """Refuse tiles of one colour each where libvips would have to read them: it can't."""
    apart = page.is_tiled and page.whole(Tag.PLANAR, 1) == SEPARATE
    openslides = vendor is not None and page.whole(Tag.ORIENTATION, 1) == 1
    warned_of = page.whole(Tag.COMPRESSION, 1) not in {JPEG, PACKBITS}
    if apart and not (openslides and warned_of and WORD not in page.numbers(Tag.BITS)):
        raise UnsupportedPixels(
            "The file keeps red, green and blue apart, in tiles of one colour each (planar "
            "configuration 2). Export it with the colours of a pixel together."
        )


def check_brightfield(path: Path) -> None:
    """Raise NotBrightfield for a TIFF that holds one grey picture a channel."""
    pages = tiff.pages(path)
    largest = max((page.pixels for page in pages), default=0)
    alike = [page for page in pages if page.pixels == largest > 0 and is_grey(page)]
    if len(alike) > 1:
        raise NotBrightfield(
            f"The file holds {len(alike)} grey pictures of one size: the channels of a "
            "fluorescence stack, or colours taken apart. Taken are brightfield slides in colour; "
            "export such a slide as one RGB picture."
        )


def is_grey(page: Page) -> bool:
    return page.whole(Tag.SAMPLES, 1) == 1 and page.whole(Tag.PHOTOMETRIC, 1) in GREYS


def is_deep(path: Path, vendor: str | None = None) -> bool:
    """Say whether a TIFF has 16 bits a channel, of which OpenSlide would keep the upper eight."""
    if vendor in TRUSTED:
        return False
    return any(WORD in page.numbers(Tag.BITS) for page in pixel_pages(tiff.pages(path)))


def declared_bits(path: Path) -> int | None:
    """Return how many of its 16 bits a TIFF says to use, if it says that plainly.

    By MaxSampleValue (a power of two less one) or OME's SignificantBits.
    """
    pages = tiff.pages(path)
    depths: set[int] = set()
    for page in pixel_pages(pages):
        for tag in (Tag.MAX_SAMPLE, Tag.SMAX_SAMPLE):
            depths |= {each.bit_length() for each in page.numbers(tag) if is_full(each)}
    if pages:
        described = pages[0].text(Tag.DESCRIPTION)
        depths |= {int(each) for each in SIGNIFICANT_BITS.findall(described)}
    usable = {each for each in depths if BYTE < each <= WORD}
    return usable.pop() if len(usable) == 1 else None


def is_full(value: int) -> bool:
    """Say whether all bits of a number are set: what n bits hold at most."""
    return value > 0 and value & (value + 1) == 0
