"""From a received file to a slide that can be read: opened, unpacked or converted.

What is derived lies in the slide folder under the file's sha256, whole or not at all; a second
try finds it and does not make it again.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import openslide

from backend.kit.errors import NoSpace
from backend.kit.geometry import SizePx
from backend.kit.storage.blobs import BlobMissing, also_at
from backend.settings import Settings
from backend.slides.catalogue.leftovers import pyramid_key
from backend.slides.catalogue.tables import Slide
from backend.slides.reading import colour, dicom, pixel_kinds
from backend.slides.reading.formats import TIFF, Content, sniff
from backend.slides.reading.reader import OpenSlideReader, RegionUnreadable, SlideUnreadable, manner
from worker.context import JobContext
from worker.conversion import convert_picture, convert_slide, has_usable_levels
from worker.facts import Facts, Opened, as_before, facts_of, work_rests_on
from worker.layout import FILES_LEFT_OUT, Layout, is_plain, look_at, shown_by
from worker.orientation import needs_scratch
from worker.pixel_size import PixelSize, pixel_size
from worker.plain_pictures import has_odd_profile, look_into
from worker.silent_damage import check_tiles
from worker.unpacking import unpacked
from worker.vips_progress import ConversionStopped, Watch

NAME_IN_FOLDER = "slide.dcm"
CONVERSION_SHARE = 0.7
"""How much of an ingest a conversion is, for the progress shown."""
SPACE_FACTOR = 2
"""A pyramid may be this much larger than the file it is made of."""
SCRATCH_BYTES = 3
"""Of a pixel, while a picture is turned."""


@contextmanager
def opened(ctx: JobContext, slide: Slide) -> Iterator[Opened]:
    """Open a slide's file, making what is missing to read it. Raise a MembranaError."""
    source = open_file(ctx, slide)
    try:
        yield source
    finally:
        source.reader.close()


def open_file(ctx: JobContext, slide: Slide) -> Opened:
    blob = ctx.blobs.path(slide.sha256)
    if not blob.is_file():
        raise BlobMissing("The slide's file is gone from the server's disk. Upload it again.")
    if work_rests_on(ctx, slide):
        return as_before(ctx, slide)
    content = sniff(blob, name=slide.name, settings=ctx.settings)
    if content is Content.ARCHIVE:
        return open_archive(ctx, slide, blob)
    pixel_kinds.check_brightfield(blob)
    if content is Content.PICTURE or is_deep(blob):
        return open_picture(ctx, slide, blob)
    path = alone(ctx.settings, slide, blob) if content is Content.DICOM else blob
    return open_slide_file(ctx, slide, path)


def open_archive(ctx: JobContext, slide: Slide, blob: Path) -> Opened:
    """Open the slide in a zip, which is held to what a file that comes alone is held to."""
    archive = unpacked(ctx, blob, slide.sha256)
    path, deep = archive.path, False
    if not dicom.is_dicom(path):
        pixel_kinds.check(path, openslide.OpenSlide.detect_format(path))
        pixel_kinds.check_brightfield(path)
        deep = is_deep(path)
    source = (open_picture if deep else open_slide_file)(ctx, slide, path)
    if not archive.leaves_out:
        return source
    return replace(source, facts=replace(source.facts, qc=(*source.facts.qc, FILES_LEFT_OUT)))


def open_slide_file(ctx: JobContext, slide: Slide, path: Path) -> Opened:
    """Open what OpenSlide reads: the blob, or what stands for it in the slide folder."""
    blob, home = ctx.blobs.path(slide.sha256), ctx.settings.slide_folder
    key = None if path == blob else str(path.relative_to(home))
    try:
        reader = OpenSlideReader(path, **manner(slide))
    except SlideUnreadable as reason:
        return open_otherwise(ctx, slide, blob, reason)
    try:
        reader.damaged = check_tiles(path, reader, ctx.check)
        layout = look_at(path, reader)
    except BaseException:
        reader.close()
        raise
    facts = facts_of(reader, layout)
    if layout is not None and not shown_by(layout, reader):
        reader.close()
        return open_picture(ctx, slide, path, None if is_plain(reader) else (layout, facts))
    return with_levels(ctx, slide, Opened(reader, facts, key))


def is_deep(blob: Path) -> bool:
    return pixel_kinds.is_deep(blob, openslide.OpenSlide.detect_format(blob))


def picture_facts(reader: OpenSlideReader, layout: Layout, stated: PixelSize) -> Facts:
    """Return the facts of a plain picture by its own file, not by the pyramid made of it."""
    facts = facts_of(reader, layout)
    return replace(facts, vendor=None, mpp=stated.mpp, doubt=stated.doubt)


def open_picture(
    ctx: JobContext, slide: Slide, path: Path, known: tuple[Layout, Facts] | None = None
) -> Opened:
    """Convert a plain picture, once, and open the pyramid.

    known: which picture it is and what it says of itself, if a scanner has signed the file.
    """
    most = ctx.settings.max_image_pixels
    layout = known[0] if known else look_into(path, most_pixels=most)
    stated = pixel_size(None, layout.shown, layout.description)
    mpp = known[1].mpp if known else stated.mpp
    key = pyramid_key(slide.sha256)
    target = ctx.settings.slide_folder / key
    if not target.is_file():
        turned = needs_scratch(layout.shown.orientation)
        scratch = SCRATCH_BYTES * layout.shown.pixels if turned else 0
        check_space(ctx.settings, path, scratch=scratch)
        with stoppable(ctx):
            convert_picture(
                path, target, layout=layout, mpp=mpp, most_pixels=most, watch=watch_of(ctx)
            )
    reader = OpenSlideReader(target, srgb=slide.colours_are_srgb)
    facts = known[1] if known else picture_facts(reader, layout, stated)
    if has_odd_profile(path, layout) and colour.UNUSABLE not in facts.qc:
        facts = replace(facts, qc=(*facts.qc, colour.UNUSABLE))
    width, height = reader.dimensions
    return Opened(reader, replace(facts, width=width, height=height), key)


def open_otherwise(ctx: JobContext, slide: Slide, blob: Path, reason: SlideUnreadable) -> Opened:
    """Give a TIFF that OpenSlide can't decode to libvips, which knows more compressions."""
    with blob.open("rb") as file:
        if not file.read(4).startswith(TIFF):
            raise reason
    return open_picture(ctx, slide, blob)


def with_levels(ctx: JobContext, slide: Slide, source: Opened) -> Opened:
    """Give a slide without usable levels a pyramid of its own; its facts stay the file's.

    A damaged one stays as it is, slow but true: its own tiles say where they can't be read.
    """
    if has_usable_levels(source.reader.level_dimensions):
        return source
    key = pyramid_key(slide.sha256)
    target = ctx.settings.slide_folder / key
    with_reader = source.reader
    try:
        if not target.is_file() or not shows(target, with_reader.dimensions):
            check_space(ctx.settings, ctx.blobs.path(slide.sha256))
            with stoppable(ctx):
                convert_slide(with_reader, target, mpp=source.facts.mpp, watch=watch_of(ctx))
    except RegionUnreadable:
        again = OpenSlideReader(with_reader.path, **manner(slide))
        again.damaged = with_reader.damaged
        return replace(source, reader=again)
    finally:
        with_reader.close()
    return Opened(OpenSlideReader(target), source.facts, key)


def shows(pyramid: Path, size: SizePx) -> bool:
    """Say whether a pyramid is of that size: one of a first try may show the whole canvas."""
    reader = OpenSlideReader(pyramid)
    reader.close()
    return reader.dimensions == size


def alone(settings: Settings, slide: Slide, blob: Path) -> Path:
    """Put one DICOM file into a folder of its own: OpenSlide reads its neighbours too."""
    target = settings.slide_folder / slide.sha256 / NAME_IN_FOLDER
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file():
        also_at(blob, target)
    return target


def check_space(settings: Settings, blob: Path, *, scratch: int = 0) -> None:
    settings.slide_folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.slide_folder).free - settings.free_space_reserve_bytes
    if SPACE_FACTOR * blob.stat().st_size + scratch > free:
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
