"""One picture as files that hold it turned: every orientation, in the containers there are."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips
import tifffile
from PIL import Image, ImageOps
from scipy import ndimage

Rgb = npt.NDArray[np.uint8]
ORIENTATIONS = range(1, 9)
TILE = 64
TAG = 274
PLAIN = ("png", "jpeg", "strips", "planes", "deflate", "bigtiff", "motorola", "big_motorola")
TILED = ("tiles", "pyramid", "big_pyramid", "motorola_pyramid", "jpeg_pyramid")
LOSSY = ("jpeg", "jpeg_pyramid")
SURE = 12
"""Grey levels by which JPEG may differ here."""
WIDTH, HEIGHT = 320, 192


def picture() -> Rgb:
    """An upright picture that no turn leaves as it is, soft enough for JPEG and for levels."""
    noise = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(float)
    soft = ndimage.gaussian_filter(noise, (16, 16, 0))
    spread = (soft - soft.min()) / np.ptp(soft)
    return np.asarray(40 + 180 * spread, np.uint8)


def stored(upright: Rgb, orientation: int) -> Rgb:
    """Return what a file stores so that with this orientation it shows the upright picture.

    By Pillow's own turning: the one of the eight from which it gets back the upright.
    """
    for back in ORIENTATIONS:
        candidate = shown(upright, back)
        if np.array_equal(shown(candidate, orientation), upright):
            return candidate
    raise AssertionError


def shown(pixels: Rgb, orientation: int) -> Rgb:
    """Return how Pillow shows stored pixels of an orientation."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG", exif=exif(orientation))
    return np.array(ImageOps.exif_transpose(Image.open(packed)))


def exif(orientation: int, **tags: Any) -> Image.Exif:
    notes = Image.Exif()
    notes[TAG] = orientation
    for name, value in tags.items():
        notes[{"x": 282, "y": 283, "unit": 296}[name]] = value
    return notes


def file_of(upright: Rgb, orientation: int, container: str, **tags: Any) -> bytes:
    """Return a file that holds a picture turned. tags: what else a TIFF of tifffile's says."""
    pixels = stored(upright, orientation)
    packed = io.BytesIO()
    if container == "png":
        Image.fromarray(pixels).save(packed, "PNG", exif=exif(orientation))
    elif container == "jpeg":
        how: dict[str, Any] = {"quality": 95, "subsampling": 0}
        Image.fromarray(pixels).save(packed, "JPEG", exif=exif(orientation), **how)
    elif container == "jpeg_pyramid":
        packed.write(jpeg_pyramid(pixels, orientation))
    else:
        write_tiff(packed, pixels, orientation, container, **tags)
    return packed.getvalue()


def write_tiff(
    target: io.BytesIO, pixels: Rgb, orientation: int, container: str, **tags: Any
) -> None:
    big, order = "big" in container, ">" if "motorola" in container else "<"
    tiled = container in TILED
    how: dict[str, Any] = {
        "photometric": "rgb",
        "metadata": None,
        "tile": (TILE, TILE) if tiled else None,
        "extratags": [(TAG, "H", 1, orientation, True)],
        "compression": "zlib" if container == "deflate" else None,
        **tags,
    }
    levels = [pixels]
    while "pyramid" in container and max(levels[-1].shape) > TILE:
        levels.append(halved(levels[-1]))
    with tifffile.TiffWriter(target, bigtiff=big, byteorder=order) as writer:
        for number, level in enumerate(levels):
            rows = level
            if container == "planes":
                rows, how["planarconfig"] = level.transpose(2, 0, 1), "separate"
            writer.write(np.ascontiguousarray(rows), subfiletype=int(number > 0), **how)


def halved(level: Rgb) -> Rgb:
    size = -(-level.shape[1] // 2), -(-level.shape[0] // 2)
    return np.asarray(Image.fromarray(level).resize(size, Image.Resampling.BOX))


def jpeg_pyramid(pixels: Rgb, orientation: int) -> bytes:
    """Return a pyramid of JPEG tiles, as libvips writes it."""
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    how: dict[str, Any] = {"tile": True, "tile_width": TILE, "tile_height": TILE, "pyramid": True}
    content: bytes = image.tiffsave_buffer(compression="jpeg", Q=95, **how)
    return content
