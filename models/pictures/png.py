"""What a PNG says beside its pixels; its chunks may stand before them or behind."""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from models.pictures import exif
from models.pictures.inside import Inside, Resolution, orientation_in, resolution_in

METRE_UM = 1e6
MOST_BYTES = 2**20
"""Of a chunk that is looked at; longer ones say nothing."""
MOST_CHUNKS = 1_000_000
LOOKED_AT = {b"IHDR", b"tRNS", b"pHYs", b"eXIf", b"acTL", b"iTXt", b"zTXt", b"tEXt"}
XMP = b"XML:com.adobe.xmp"
RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")
WITH_ALPHA = {4, 6}
"""Kinds of colour with transparency of their own; others may name it in a chunk."""
TRANSPARENT = (2,)


def inside(file: BinaryIO) -> list[Inside]:
    """Return a PNG's picture; one for each frame of an animated one."""
    by_name: dict[bytes, bytes] = {}
    packet = raw = b""
    for name, content in chunks(file):
        if name.endswith(b"Xt") or name == b"iTXt":
            key, _, _ = content.partition(b"\0")
            if key == XMP:
                packet = packet or text_in(name, content)
            elif key in RAW_EXIF:
                raw = raw or from_hex(text_in(name, content))
        else:
            by_name.setdefault(name, content)
    head = by_name.get(b"IHDR", b"")
    if len(head) < 10:
        return []
    width, height, _, kind = struct.unpack(">IIBB", head[:10])
    if not width or not height:
        return []
    tags = exif.tags_of(by_name.get(b"eXIf") or raw)
    resolutions = resolution_in(tags, "EXIF")
    if len(by_name.get(b"pHYs", b"")) == 9:
        across, down, unit = struct.unpack(">IIB", by_name[b"pHYs"])
        if across and down:
            resolutions.append(Resolution("pHYs", across, down, METRE_UM if unit == 1 else None))
    first = Inside(
        width,
        height,
        orientation=orientation_in(tags.get(exif.ORIENTATION), exif.orientation_in_xmp(packet)),
        spare=TRANSPARENT if kind in WITH_ALPHA or b"tRNS" in by_name else (),
        resolutions=tuple(resolutions),
    )
    frames = (
        struct.unpack(">I", by_name[b"acTL"][:4])[0] if len(by_name.get(b"acTL", b"")) >= 4 else 1
    )
    return [first] if frames < 2 else [first, Inside(width, height, page=1)]


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the chunks that are looked at, to the end or a damage."""
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            return
        if name in LOOKED_AT and length <= MOST_BYTES:
            content = file.read(length)
            if len(content) < length:
                return
            yield name, content
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def text_in(name: bytes, content: bytes) -> bytes:
    """Return the text of a text chunk, unpacked up to a bound."""
    _, _, rest = content.partition(b"\0")
    packed = False
    if name == b"zTXt":
        packed, rest = True, rest[1:]
    elif name == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if not packed:
        return rest
    try:
        return zlib.decompressobj().decompress(rest, MOST_BYTES)
    except zlib.error:
        return b""


def from_hex(text: bytes) -> bytes:
    """Return the EXIF of ImageMagick's raw profile: a name, a length, and hexadecimal lines."""
    lines = text.split(b"\n")[3:]
    try:
        return bytes.fromhex(b"".join(lines).decode("ascii"))
    except ValueError:
        return b""
