"""What a slide's file says of itself, and what a slide that people worked on is read by."""

from dataclasses import dataclass
from pathlib import Path

from backend.her2.regions import service as regions
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import service as patches
from backend.slides.reading import tiff
from backend.slides.reading.reader import OpenSlideReader, open_slide, slide_path
from models.phantom.mark import is_marked
from worker.context import JobContext
from worker.layout import CODES, Layout, flags_of
from worker.pixel_size import PixelSize, pixel_size, positive

AT_THE_DOOR = frozenset(CODES)
"""Flags of how a file was read; others are of its tissue."""


@dataclass(frozen=True)
class Facts:
    """What a slide file says of itself. qc: flags for what of it could not be taken.

    doubt: why no pixel size is taken, where the file says something of it.
    """

    width: int
    height: int
    vendor: str | None
    mpp: float | None
    objective_power: float | None
    synthetic: bool
    qc: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True)
class Opened:
    reader: OpenSlideReader
    facts: Facts
    derived_key: str | None


def facts_of(reader: OpenSlideReader, layout: Layout | None) -> Facts:
    """Read a slide's facts; a pixel size that can't be one is left out, never guessed.

    layout: of what is a JPEG, PNG or TIFF.
    """
    properties = reader.properties
    description = properties.get("tiff.ImageDescription", "")
    width, height = reader.dimensions
    size = size_of(reader, layout)
    return Facts(
        width=width,
        height=height,
        vendor=properties.get("openslide.vendor"),
        mpp=size.mpp,
        doubt=size.doubt,
        objective_power=positive(properties.get("openslide.objective-power")),
        synthetic=is_marked(xmp_of(reader.path), description),
        qc=flags_of(reader, layout),
    )


def xmp_of(path: Path) -> bytes:
    """Return the XMP of a TIFF's first page; none of another file."""
    for page in tiff.pages(path)[:1]:
        packet = page.tags.get(tiff.Tag.XMP, b"")
        return packet if isinstance(packet, bytes) else b""
    return b""


def size_of(reader: OpenSlideReader, layout: Layout | None) -> PixelSize:
    if layout is None:
        return pixel_size(reader.properties, None)
    return pixel_size(reader.properties, layout.shown, layout.description)


def work_rests_on(ctx: JobContext, slide: Slide) -> bool:
    """Say whether people drew on this slide as it is stored: then it is not read otherwise."""
    if not slide.width or not slide_path(slide, ctx.settings).is_file():
        return False
    with ctx.reading() as session:
        revision = session.scalar(regions.revisions(slide.id).limit(1))
        return revision is not None or patches.is_annotated(session, slide.id)


def as_before(ctx: JobContext, slide: Slide) -> Opened:
    """Open a slide by the file and the facts that its row has."""
    reader = open_slide(slide, ctx.settings)
    width, height = reader.dimensions
    facts = Facts(
        width=width,
        height=height,
        vendor=slide.vendor,
        mpp=slide.mpp,
        objective_power=slide.objective_power,
        synthetic=slide.synthetic,
        qc=tuple(code for code in slide.qc if code in AT_THE_DOOR),
    )
    return Opened(reader, facts, slide.derived_key)
