"""A stored JPEG made fit for a browser: the picture, and nothing else that its file may carry.

What a scanner or a stranger wrote beside the pixels (comments, thumbnails, Exif, profiles, what
follows the end) stays here. JPEG: ITU-T T.81, B.2; tables apart: TIFF Technical Note 2; the marker
that says which colours are coded: Adobe Technical Note 5116.
"""

import re
import struct

from backend.kit.geometry import SizePx

START, END = b"\xff\xd8", b"\xff\xd9"
QUANTISATION, HUFFMAN, RESTARTS, BASELINE, SCAN = 0xDB, 0xC4, 0xDD, 0xC0, 0xDA
NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Markers of what is no part of the picture: APPn and comments."""
PICTURE = frozenset({QUANTISATION, HUFFMAN, RESTARTS, BASELINE})
MARK_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")
COLOURS, BITS = 3, 8


class NotPlain(ValueError):
    """It is no JPEG of one kind that every browser shows: it is to be decoded here."""


def plain_jpeg(data: bytes, tables: bytes, size: SizePx, *, is_ycbcr: bool) -> bytes:
    """Return a stored JPEG with its tables, whole, and without anything that is no picture.

    tables: an abbreviated JPEG of tables alone, or nothing. size: width and height that it must
    have. is_ycbcr: its colours, as the file around it says; RGB otherwise. Raise NotPlain for
    anything but one baseline scan of three colours in eight bits, whole to its end.
    """
    parts = [START, adobe(is_ycbcr=is_ycbcr)]
    if tables:
        parts += segments(tables, None)[0]
    own, scan = segments(data, size)
    end = MARK_IN_SCAN.search(data, scan)
    if end is None or end[0] != END:
        raise NotPlain("its scan has no end, or is one of several")
    return b"".join([*parts, *own, data[scan : end.start()], END])


def segments(data: bytes, size: SizePx | None) -> tuple[list[bytes], int]:
    """Return the segments that make the picture, and where the coded pixels begin.

    size: of the picture; None of tables alone, which end without any.
    """
    if data[:2] != START:
        raise NotPlain("it begins as no JPEG does")
    kept: list[bytes] = []
    at, framed = len(START), False
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        kind = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at : at + 2 + length]
        at += 2 + length
        if kind in NOTES:
            continue
        if kind == SCAN and size and framed:
            if segment[4:5] != bytes([COLOURS]) or len(segment) != length + 2:
                raise NotPlain("its colours stand in scans of their own")
            return [*kept, segment], at
        if kind not in PICTURE or (kind == BASELINE and (not size or framed)):
            raise NotPlain("it is coded otherwise than every browser reads")
        if kind == BASELINE:
            require_frame(segment, size)
            framed = True
        kept.append(segment)
    if size is None and data[at : at + 2] == END:
        return kept, at
    raise NotPlain("it ends before its pixels")


def require_frame(segment: bytes, size: SizePx | None) -> None:
    """Raise NotPlain for a frame of another size, of other samples or with other colours."""
    if segment[4:10] != struct.pack(">BHHB", BITS, *(size or (0, 0))[::-1], COLOURS):
        raise NotPlain("it has another size, or other samples")


def adobe(*, is_ycbcr: bool) -> bytes:
    """Return the marker by which every decoder knows whether colours are YCbCr or RGB."""
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([is_ycbcr])
