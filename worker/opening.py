"""From a received file to a slide that can be read: opened, unpacked or converted.

What is derived lies in the slide folder under the file's sha256, whole or not at all; a second
try finds it and does not make it again.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openslide

from backend.errors import NoSpace
from backend.settings import Settings
from backend.slides import pixel_kinds
from backend.slides.formats import TIFF, Content, sniff
from backend.slides.geometry import SizePx
from backend.slides.reader import OpenSlideReader, SlideUnreadable
from backend.slides.schemas import plausible
from backend.slides.tables import Slide
from backend.storage.blobs import BlobMissing
from worker.context import JobContext
from worker.conversion import (
    ConversionStopped,
    Watch,
    convert_picture,
    convert_slide,
    has_usable_levels,
)
from worker.silent_damage import check_tiles
from worker.unpacking import unpacked

MOST_SKEW = 1.05
"""Pixels may be this much wider than high and still have one size."""
OME_PIXEL = re.compile(r'PhysicalSizeX="([0-9.eE+-]+)"(?!.*PhysicalSizeXUnit="(?!µm|um|&#181;))')
NAME_IN_FOLDER = "slide.dcm"
CONVERSION_SHARE = 0.7
"""How much of an ingest a conversion is, for the progress shown."""
SPACE_FACTOR = 2
"""A pyramid may be this much larger than the file it is made of."""


@dataclass(frozen=True)
class Facts:
    """What a slide file says of itself. qc: flags for what of it could not be taken."""

    width: int
    height: int
    vendor: str | None
    mpp: float | None
    objective_power: float | None
    synthetic: bool
    qc: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    reader: OpenSlideReader
    facts: Facts
    derived_key: str | None


@contextmanager
def opened(ctx: JobContext, slide: Slide) -> Iterator[Opened]:
    """Open a slide's file, making what is missing to read it. Raise a MembranaError."""
    found = open_file(ctx, slide)
    try:
        yield found
    finally:
        found.reader.close()


def open_file(ctx: JobContext, slide: Slide) -> Opened:
    blob = ctx.blobs.path(slide.sha256)
    if not blob.is_file():
        raise BlobMissing("The slide's file is gone from the server's disk. Upload it again.")
    content = sniff(blob, name=slide.name, settings=ctx.settings)
    if content is Content.PICTURE or is_deep(blob):
        return open_picture(ctx, slide, blob)
    key = None
    path = blob
    if content is Content.ARCHIVE:
        key = unpacked(ctx, blob, slide.sha256)
    elif content is Content.DICOM:
        key = alone(ctx.settings, slide, blob)
    if key is not None:
        path = ctx.settings.slide_folder / key
    try:
        reader = OpenSlideReader(path, bounded=slide.counts_from_bounds)
    except SlideUnreadable as reason:
        return open_otherwise(ctx, slide, blob, reason)
    try:
        check_tiles(path, reader.properties.get("openslide.vendor"), ctx.check)
    except BaseException:
        reader.close()
        raise
    return with_levels(ctx, slide, Opened(reader, facts_of(reader), key))


def is_deep(blob: Path) -> bool:
    return pixel_kinds.is_deep(blob, openslide.OpenSlide.detect_format(blob))


def open_picture(ctx: JobContext, slide: Slide, blob: Path) -> Opened:
    """Convert a plain picture, once, and open the pyramid."""
    key = f"{slide.sha256}.tif"
    target = ctx.settings.slide_folder / key
    if not target.is_file():
        check_space(ctx.settings, blob)
        with stoppable(ctx):
            convert_picture(
                blob, target, most_pixels=ctx.settings.max_image_pixels, watch=watch_of(ctx)
            )
    reader = OpenSlideReader(target)
    return Opened(reader, facts_of(reader, vendor=None), key)


def open_otherwise(ctx: JobContext, slide: Slide, blob: Path, reason: SlideUnreadable) -> Opened:
    """Give a TIFF that OpenSlide can't decode to libvips, which knows more compressions."""
    with blob.open("rb") as file:
        if not file.read(4).startswith(TIFF):
            raise reason
    return open_picture(ctx, slide, blob)


def with_levels(ctx: JobContext, slide: Slide, found: Opened) -> Opened:
    """Give a slide without usable levels a pyramid of its own; its facts stay the file's."""
    if has_usable_levels(found.reader.level_dimensions):
        return found
    key = f"{slide.sha256}.tif"
    target = ctx.settings.slide_folder / key
    with_reader = found.reader
    try:
        if not target.is_file() or not shows(target, with_reader.dimensions):
            check_space(ctx.settings, ctx.blobs.path(slide.sha256))
            with stoppable(ctx):
                convert_slide(with_reader, target, mpp=found.facts.mpp, watch=watch_of(ctx))
    finally:
        with_reader.close()
    return Opened(OpenSlideReader(target), found.facts, key)


def shows(pyramid: Path, size: SizePx) -> bool:
    """Say whether a pyramid is of that size: one of a first try may show the whole canvas."""
    reader = OpenSlideReader(pyramid)
    reader.close()
    return reader.dimensions == size


def alone(settings: Settings, slide: Slide, blob: Path) -> str:
    """Put one DICOM file into a folder of its own: OpenSlide reads its neighbours too."""
    target = settings.slide_folder / slide.sha256 / NAME_IN_FOLDER
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file():
        try:
            os.link(blob, target)
        except OSError:
            shutil.copyfile(blob, target)
    return str(target.relative_to(settings.slide_folder))


def facts_of(reader: OpenSlideReader, *, vendor: str | None = "file") -> Facts:
    """Read a slide's facts; a pixel size that can't be one is left out, never guessed."""
    properties = reader.properties
    description = properties.get("tiff.ImageDescription", "")
    width, height = reader.dimensions
    return Facts(
        width=width,
        height=height,
        vendor=properties.get("openslide.vendor") if vendor == "file" else vendor,
        mpp=pixel_size(properties),
        objective_power=number(properties.get("openslide.objective-power")),
        synthetic="synthetic" in description.lower(),
        qc=("bounds_ignored",) if reader.bounds.ignored else (),
    )


def pixel_size(properties: Mapping[str, str]) -> float | None:
    """Return the file's µm per pixel, if it says one that a microscope can have."""
    across = number(properties.get("openslide.mpp-x"))
    down = number(properties.get("openslide.mpp-y")) or across
    if across and down and max(across, down) <= MOST_SKEW * min(across, down):
        mean = (across + down) / 2
        if plausible(mean):
            return mean
    ome = OME_PIXEL.search(properties.get("tiff.ImageDescription", ""))
    said = number(ome.group(1)) if ome else None
    return said if said and plausible(said) else None


def number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def check_space(settings: Settings, blob: Path) -> None:
    settings.slide_folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.slide_folder).free - settings.free_space_reserve_bytes
    if SPACE_FACTOR * blob.stat().st_size > free:
        raise NoSpace("There is no room on the server's disk to convert this file.")


def watch_of(ctx: JobContext) -> Watch:
    """Report a conversion's progress as the first part of the job, and stop it when asked."""

    def watch(share: float) -> bool:
        if ctx.stopping():
            return False
        ctx.progress(CONVERSION_SHARE * share, "Making the slide's levels")
        return True

    return watch


@contextmanager
def stoppable(ctx: JobContext) -> Iterator[None]:
    """Turn a conversion that was told to stop into what ended the job."""
    try:
        yield
    except ConversionStopped:
        ctx.check()
        raise
