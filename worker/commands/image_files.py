"""Files of fields and slides as the commands read them: the pixels that the service shows."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide

from backend.cli import complain
from backend.kit.geometry import Region0
from backend.kit.storage.blobs import file_sha256
from backend.slides.reading import colour, pixel_kinds
from backend.slides.reading.formats import JPEG, PNG, TIFF
from backend.slides.reading.reader import OpenSlideReader, SlideUnreadable
from models.her2.pixels import ANALYSIS_MPP
from models.study.files import as_pixels, opened
from worker.commands.options import OptionRefused, Refused
from worker.layout import CODES, Layout, flags_of, is_plain, layout_of, look_at, shown_by
from worker.pixel_size import PixelSize, pixel_size
from worker.plain_pictures import has_odd_profile, in_srgb, is_odd, look_into, rgb_of
from worker.silent_damage import check_tiles

Rgb = npt.NDArray[np.uint8]
MOST_PIXELS = 120_000_000
"""Of a whole picture in memory; larger slides are for the service, which reads them in tiles."""


@dataclass(frozen=True)
class Picture:
    """An image file: RGB (H, W, 3) upright, µm per pixel if known, and the file's sha256.

    `doubt` says why the file's own pixel size was not taken; empty where it says none. `qc`: the
    service's flags for how the file was read.
    """

    path: Path
    pixels: Rgb
    mpp: float | None
    sha256: str
    doubt: str = ""
    qc: tuple[str, ...] = ()


def stated_size(mpp: float | None, source: str) -> float | None:
    """Return a person's µm per pixel. Refused for one that no microscope has."""
    from backend.slides.catalogue.schemas import COARSEST_UM, FINEST_UM, plausible

    if mpp is not None and not plausible(mpp):
        raise OptionRefused(
            f"{source} says {mpp:g} µm per pixel: a microscope's pixel size lies between "
            f"{FINEST_UM} and {COARSEST_UM:g} µm (0.25 for a 40× scan, 0.5 for 20×).",
            code="mpp_implausible",
        )
    return mpp


def read_picture(path: Path, mpp: float | None) -> Picture:
    """Read a field or a small slide as the service shows it: that picture, upright, that size.

    `mpp` is the person's word and goes before the file's. Raises Refused for what is no picture or
    too large, also once drawn at the working resolution.
    """
    stated_size(mpp, path.name)
    if not path.is_file():
        raise Refused(f"There is no file {path}.", code="image_missing")
    sha256 = file_sha256(path)
    vendor = openslide.OpenSlide.detect_format(path)
    pixel_kinds.check(path, vendor)
    pixel_kinds.check_brightfield(path)
    if vendor is None or pixel_kinds.is_deep(path, vendor):
        return read_plain(path, mpp, sha256)
    try:
        reader = OpenSlideReader(path)
    except SlideUnreadable:
        # as at ingest: libvips knows more compressions
        if not starts_with(path, TIFF):
            raise
        return read_plain(path, mpp, sha256)
    try:
        reader.damaged = check_tiles(path, reader)
        layout = look_at(path, reader)
        size = size_for(path, mpp, reader, layout)
        width, height = reader.dimensions
        if layout and not shown_by(layout, reader):
            return converted(path, layout, size, sha256, is_signed=not is_plain(reader))
        check_size(path, width, height, size.mpp)
        pixels = np.ascontiguousarray(reader.read(Region0(0, 0, width, height), (width, height)))
        return Picture(path, pixels, size.mpp, sha256, size.doubt, flags_of(reader, layout))
    finally:
        reader.close()


def read_plain(path: Path, mpp: float | None, sha256: str) -> Picture:
    """Read a field, or what OpenSlide can't decode or gives only the upper bits of."""
    if not starts_with(path, (*TIFF, PNG, JPEG)):
        return read_foreign(path, mpp, sha256)
    layout = layout_of(path)
    return converted(path, layout, size_for(path, mpp, None, layout), sha256)


def read_foreign(path: Path, mpp: float | None, sha256: str) -> Picture:
    """Read a picture of a kind that the service does not take, and Pillow does."""
    picture = opened(path)
    profile = picture.info.get("icc_profile")
    pixels = in_srgb(as_pixels(picture, path), profile)
    check_size(path, pixels.shape[1], pixels.shape[0], mpp)
    return Picture(path, pixels, mpp, sha256, qc=(colour.UNUSABLE,) if is_odd(profile) else ())


def starts_with(path: Path, marks: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(max(map(len, marks))).startswith(marks)


def remark_on(picture: Picture) -> None:
    """Say how a picture was read, where that is more than its file's pixels as they lie."""
    for code in picture.qc:
        complain(f"{picture.path.name}: {CODES[code]}. ({code})")


def converted(
    path: Path, layout: Layout, size: PixelSize, sha256: str, *, is_signed: bool = False
) -> Picture:
    """Read a picture by the door of ingest's conversion: the same pixels, or the same refusal.

    is_signed: a scanner has signed the file, and its channels need no judging.
    """
    check_size(path, *layout.size, size.mpp)
    if not is_signed:
        layout = look_into(path, most_pixels=MOST_PIXELS)
    pixels = rgb_of(path, layout, most_pixels=MOST_PIXELS)
    odd = (colour.UNUSABLE,) if has_odd_profile(path, layout) else ()
    return Picture(path, pixels, size.mpp, sha256, size.doubt, odd + layout.qc)


def size_for(
    path: Path, mpp: float | None, reader: OpenSlideReader | None, layout: Layout | None
) -> PixelSize:
    """Return the person's pixel size; else the file's by the rule of ingest, or why not."""
    if mpp is not None:
        return PixelSize(mpp)
    properties = reader.properties if reader else None
    shown, description = (layout.shown, layout.description) if layout else (None, "")
    size = pixel_size(properties, shown, description)
    return replace(size, doubt=f"{path.name}: {size.doubt} Give --mpp." if size.doubt else "")


def check_size(path: Path, width: int, height: int, mpp: float | None) -> None:
    """Refuse a picture with too many pixels, in the file or at the working resolution."""
    if width * height > MOST_PIXELS:
        raise Refused(
            f"{path.name} has {width} × {height} px: too many for one picture. Upload it, "
            "and the service scores it in tiles.",
            code="image_too_large",
        )
    if mpp and width * height * (mpp / ANALYSIS_MPP) ** 2 > MOST_PIXELS:
        raise Refused(
            f"At {mpp:g} µm per pixel {path.name} shows {width * mpp / 1000:.1f} × "
            f"{height * mpp / 1000:.1f} mm: too much for one picture. Is the pixel size right? "
            "Then upload it, and the service scores it in tiles.",
            code="image_too_large",
        )
