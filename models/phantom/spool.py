"""Pixels spooled row band by row band to disk, then saved as a pyramid by libvips.

The spool is a plain uncompressed BigTIFF: libvips reads it strip by strip, where a raw file would
be mapped into memory whole (1.2 GB resident for 20,000×20,000).
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from models.phantom.mark import XMP

_ROWS_PER_STRIP = 32
_SHORT, _LONG8 = 3, 16


def _header(width: int, height: int, bands: int) -> bytes:
    """BigTIFF header, one directory and its strip tables; the pixels follow at once."""
    row = width * bands
    strips = -(-height // _ROWS_PER_STRIP)
    sizes = [row * min(_ROWS_PER_STRIP, height - k * _ROWS_PER_STRIP) for k in range(strips)]
    tags = 10
    tables = 16 + 8 + tags * 20 + 8
    data = tables + 8 + 16 * strips
    starts = [data + k * row * _ROWS_PER_STRIP for k in range(strips)]
    entries = [
        (256, _LONG8, 1, width),
        (257, _LONG8, 1, height),
        (258, _SHORT, bands, 8 | 8 << 16 | 8 << 32 if bands == 3 else 8),
        (259, _SHORT, 1, 1),
        (262, _SHORT, 1, 2 if bands == 3 else 1),
        (273, _LONG8, strips, tables + 8 if strips > 1 else starts[0]),
        (277, _SHORT, 1, bands),
        (278, _LONG8, 1, _ROWS_PER_STRIP),
        (279, _LONG8, strips, tables + 8 + 8 * strips if strips > 1 else sizes[0]),
        (284, _SHORT, 1, 1),
    ]
    out = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<Q", tags)
    out += b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    out += struct.pack("<QQ", 0, 0)
    return out + struct.pack(f"<{strips}Q", *starts) + struct.pack(f"<{strips}Q", *sizes)


class Spool:
    """Rows of an image uint8 (height, width[, 3]) on their way to a tiled pyramid at `path`."""

    def __init__(self, path: Path, width: int, height: int, bands: int) -> None:
        self._path = path
        self._raw = path.with_name(f".{path.name}.spool")
        self._file = self._raw.open("wb")
        self._file.write(_header(width, height, bands))

    def append(self, rows: npt.NDArray[np.uint8]) -> None:
        self._file.write(rows.tobytes())

    def save(self, note: dict[str, Any], mpp: float, **options: Any) -> None:
        """Write the pyramid with `note` as ImageDescription and `mpp` µm per px as resolution."""
        self._file.close()
        image = pyvips.Image.new_from_file(str(self._raw), access="sequential").copy()
        image.set_type(pyvips.GValue.gstr_type, "image-description", json.dumps(note))
        image.set_type(pyvips.GValue.blob_type, "xmp-data", XMP)
        image.tiffsave(
            str(self._path),
            tile=True,
            tile_width=256,
            tile_height=256,
            pyramid=True,
            bigtiff=True,
            xres=1000 / mpp,
            yres=1000 / mpp,
            resunit="cm",
            **options,
        )

    def discard(self) -> None:
        """Remove the spool, saved or not."""
        self._file.close()
        self._raw.unlink(missing_ok=True)
