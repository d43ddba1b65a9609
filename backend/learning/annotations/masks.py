"""Masks as they arrive and as they are kept: 8-bit grayscale PNG, 0 / 127 / 255, 256×256.

A mask that was painted only in part holds 63, too: pixels that nobody has looked at. They are
neither membrane nor background, whoever reads the mask.

What arrives may be made to harm, so the header is read by us before Pillow sees the file, and
what is kept is always encoded by us.
"""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from backend.kit.errors import TooLarge, Unprocessable
from backend.slides.patches.grid import PATCH_PX

Mask = npt.NDArray[np.uint8]
MAX_BYTES = 2**20
VALUES = (0, 127, 255)
"""Background, ignore (never trained on), membrane: all that a complete mask may hold."""
UNSEEN, IGNORE = 63, 127
PARTIAL_VALUES = (0, UNSEEN, 127, 255)
"""Of a mask that may be painted only in part."""
UNCHANGED = 191
DIFF_VALUES = (0, UNSEEN, 127, UNCHANGED, 255)
"""Of what is to be changed of a mask: 191 leaves a pixel as it was."""
MEANINGS = {0: "background", UNSEEN: "unseen", 127: "ignore", UNCHANGED: "unchanged"}
"""Of the values besides the last, which is membrane."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">I4sIIBBBBB")
GRAY, BITS = 0, 8


class MaskTooLarge(TooLarge):
    code = "mask_too_large"


class MaskInvalid(Unprocessable):
    code, title = "mask_invalid", "The mask is not valid"


def not_png(detail: str) -> MaskInvalid:
    return MaskInvalid(detail, code="mask_not_png")


def decode(content: bytes, values: Sequence[int] = VALUES) -> Mask:
    """Return a mask uint8 (256, 256) of some values; raise MaskInvalid or MaskTooLarge."""
    if len(content) > MAX_BYTES:
        raise MaskTooLarge(f"A mask may have {MAX_BYTES} bytes; a PNG of a patch has far fewer.")
    check_header(content)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            # a second header chunk may contradict the one that was checked
            if image.size != (PATCH_PX, PATCH_PX) or image.mode != "L":
                raise not_png("The PNG contradicts itself about its size or kind.")
            image.load()
            # as every viewer shows it
            mask = np.array(ImageOps.exif_transpose(image))
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        TypeError,
        LookupError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ):
        raise not_png("The PNG is damaged and can't be decoded; save it again.") from None
    wrong = np.setdiff1d(mask, values)
    if wrong.size:
        others = ", ".join(map(str, wrong[:5]))
        allowed = ", ".join(f"{each} ({MEANINGS[each]})" for each in values[:-1])
        raise MaskInvalid(
            f"A mask holds {allowed} and 255 (membrane); "
            f"this one holds {others}{'…' if wrong.size > 5 else ''} too.",
            code="mask_wrong_values",
        )
    return mask


def decode_stored(content: bytes) -> Mask:
    """Return a mask as it is kept, uint8 (256, 256) of 0, 63 (unseen), 127 and 255."""
    return decode(content, PARTIAL_VALUES)


def unseen_px(mask: Mask) -> int:
    """Count the pixels that nobody has looked at."""
    return int(np.count_nonzero(mask == UNSEEN))


def nothing_seen() -> Mask:
    """Return the mask of a patch that nobody has painted."""
    return np.full((PATCH_PX, PATCH_PX), UNSEEN, np.uint8)


def changed_by(base: Mask, diff: Mask) -> Mask:
    """Return a mask after a change: its pixels where the change says 191, else the change's."""
    return np.where(diff == UNCHANGED, base, diff)


def check_header(content: bytes) -> None:
    """Refuse by the first 33 bytes what can't be a mask."""
    start = len(SIGNATURE)
    if not content.startswith(SIGNATURE) or len(content) < start + HEADER.size:
        raise not_png("The body must be a PNG file.")
    length, name, width, height, bits, colour, *_ = HEADER.unpack_from(content, start)
    if name != b"IHDR" or length != HEADER.size - 8:
        raise not_png("The PNG does not begin with a header.")
    if (width, height) != (PATCH_PX, PATCH_PX):
        raise MaskInvalid(
            f"A mask has {PATCH_PX} × {PATCH_PX} pixels like its patch; "
            f"this one has {width} × {height}.",
            code="mask_wrong_size",
        )
    if (bits, colour) != (BITS, GRAY):
        raise MaskInvalid(
            "A mask is 8-bit grayscale without colour, palette or transparency.",
            code="mask_wrong_depth",
        )


def encode(mask: Mask) -> bytes:
    """Return the one PNG of a mask that is stored: equal masks give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()
