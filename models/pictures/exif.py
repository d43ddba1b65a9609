"""EXIF and XMP as pictures carry them, read as hostile: what can't be parsed says nothing."""

import re
import struct
from typing import Any

from PIL import Image

ORIENTATION = 274
WANTED = (ORIENTATION, 282, 283, 296)
XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])\b""")
MOST_BYTES = 2**20


def tags_of(content: bytes | None) -> dict[int, Any]:
    """Return orientation and resolution of an EXIF block, with or without its `Exif` mark."""
    exif = Image.Exif()
    try:
        exif.load(content or b"")
        return {tag: exif[tag] for tag in WANTED if tag in exif}
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return {}


def orientation_in_xmp(packet: bytes | str | None) -> int | None:
    """Return the orientation that an XMP packet says, as Adobe's programs write it."""
    content = packet.encode(errors="replace") if isinstance(packet, str) else packet or b""
    match = XMP_ORIENTATION.search(content[:MOST_BYTES])
    return int(match[1]) if match else None
