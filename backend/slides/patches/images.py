"""A patch's pixels as a picture: 256×256 PNG."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.kit.geometry import Region0
from backend.settings import Settings
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import Patch
from backend.slides.reading.reader import StoredSlide, open_slides

Pixels = npt.NDArray[np.uint8]


def png(pixels: Pixels) -> bytes:
    """Encode (H, W) gray or (H, W, 3|4) colour; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def image_etag(slide: StoredSlide, patch: Patch) -> str:
    return f"{slide.sha256[:16]}-{patch.x0:.6g}-{patch.y0:.6g}-{patch.size0:.6g}"


def image(slide: StoredSlide, patch: Patch, settings: Settings) -> bytes:
    """Return the patch's RGB pixels on the analysis grid; raise RegionUnreadable."""
    reader = open_slides.of(slide, settings)
    # the patch's own place: its pixels are the same for ever, as its ETag says
    region = Region0(patch.x0, patch.y0, patch.size0, patch.size0)
    return png(reader.read(region, (PATCH_PX, PATCH_PX)))
