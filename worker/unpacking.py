"""From a zip to the one slide in it: unpacked once, looked through, gathered for OpenSlide.

A zip is one slide, as every file is: a row is known by its file's sha256. Of several slides none is
taken for the others, they are all named; and what can't be read says why.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from backend.kit.errors import Unprocessable
from backend.kit.storage.blobs import also_at
from backend.kit.storage.whole_files import sync_folder
from backend.slides.reading import archives, dicom, mirax
from backend.slides.reading.archives import ArchiveWithoutSlide
from backend.slides.reading.dicom import DicomUnsupported, Instance
from backend.slides.reading.formats import TIFF
from worker.context import JobContext

CONTENTS, GATHERED = "zip", "slide"
"""Folders of what a zip holds, and of one slide's DICOM files that lay in several folders."""
CZI = b"ZISRAWFILE"
DICOM_SUFFIX = ".dcm"
PLAIN_PICTURES = (b"\x89PNG", b"\xff\xd8\xff")
MOST_FILES_TO_NAME = 3


class SeveralSlides(Unprocessable):
    code, title = "several_slides", "The zip holds more than one slide"


@dataclass(frozen=True)
class Unpacked:
    """path: what OpenSlide is given of a zip. leaves_out: whether other content lies beside it."""

    path: Path
    leaves_out: bool


@dataclass(frozen=True)
class Found:
    """A slide in an unpacked zip. name: as people know it; path: what OpenSlide is given."""

    name: str
    path: Path
    levels: Sequence[Instance] = ()


def unpacked(ctx: JobContext, blob: Path, sha256: str) -> Unpacked:
    """Unpack an archive, once, and return the one slide in it.

    Raise SeveralSlides, ArchiveWithoutSlide or DicomUnsupported.
    """
    home = ctx.settings.slide_folder
    folder = home / sha256
    if not folder.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(dir=home, prefix="."))
        try:
            archives.unpack(blob, draft / CONTENTS, ctx.settings, check=ctx.check)
            draft.rename(folder)
            sync_folder(home)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return the_slide(folder)


def the_slide(folder: Path) -> Unpacked:
    """Return the one slide in a folder; raise why there is not one."""
    # what was unpacked by an older version lies in the folder itself
    contents = folder / CONTENTS if (folder / CONTENTS).is_dir() else folder
    for path in [each for each in contents.rglob("*") if mirax.is_index(each.name)]:
        mirax.spell(path)
    files = sorted(path for path in contents.rglob("*") if path.is_file())
    instances = [each for path in files if (each := dicom.read_instance(path)) is not None]
    check_whole(files, instances, contents)
    slides = [
        *mirax_slides(files, contents, folder),
        *dicom_slides(instances, contents),
        *slides_of_one_file(files, contents),
    ]
    if not slides:
        raise ArchiveWithoutSlide(
            f"The zip holds no whole-slide image, but {those_there(instances, contents)}. A DICOM "
            "zip needs all files of the slide."
        )
    if len(slides) > 1:
        raise SeveralSlides(
            f"The zip holds {len(slides)} slides: {'; '.join(each.name for each in slides)}. Pack "
            "each into a zip of its own, and upload them one by one."
        )
    dicom.check_levels(slides[0].levels)
    return Unpacked(gathered(slides[0], folder), leaves_files_out(files, instances))


def leaves_files_out(files: Sequence[Path], instances: Sequence[Instance]) -> bool:
    """Say whether an unpacked zip holds pictures or DICOM objects that are no part of its slide.

    A slide's own label and glass, and a disc's table of contents, are parts of it.
    """
    of_mirax = {path.parent for path in files if mirax.is_index(path.name)}
    return any(each.kind not in {dicom.WHOLE_SLIDE, dicom.DIRECTORY} for each in instances) or any(
        is_plain_picture(path)
        for path in files
        if path.parent not in of_mirax and path.suffix.casefold() != mirax.PREVIEW
    )


def is_plain_picture(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(PLAIN_PICTURES)


def check_whole(files: Sequence[Path], instances: Sequence[Instance], contents: Path) -> None:
    """Raise DicomUnsupported for a DICOM file that is none any more: a slide lacks its pixels."""
    read = {each.path for each in instances}
    named = [path for path in files if path.suffix.casefold() == DICOM_SUFFIX and path not in read]
    damaged = [each.path for each in instances if not each.kind] + (named if instances else [])
    if damaged:
        raise DicomUnsupported(
            f"The DICOM file {damaged[0].relative_to(contents)} is damaged: what it is can't "
            "be read. Export the slide anew.",
            code="dicom_damaged",
        )


def mirax_slides(files: Sequence[Path], contents: Path, folder: Path) -> Iterator[Found]:
    """Yield MIRAX slides; the file that OpenSlide is given is named after the index's folder."""
    for index in files:
        if mirax.is_index(index.name) and index.parent.parent.is_relative_to(folder):
            slide = index.parent.with_name(f"{index.parent.name}{mirax.PREVIEW}")
            # its own content is only a preview, and often left behind
            slide.touch()
            lies_in = index.parent.relative_to(contents)
            yield Found(f"{lies_in}{mirax.PREVIEW}" if lies_in.name else mirax.INDEX, slide)


def dicom_slides(instances: Sequence[Instance], contents: Path) -> Iterator[Found]:
    """Yield the slides of DICOM files, whatever lies beside them and in whatever order."""
    for levels in dicom.slides_among([each for each in instances if each.is_level]):
        largest = levels[0]
        more = f" and {len(levels) - 1} more files" if len(levels) > 1 else ""
        series = largest.text("SeriesInstanceUID") or "unknown"
        name = f"{largest.path.relative_to(contents)}{more} (series {series})"
        yield Found(name, largest.path, levels)


def slides_of_one_file(files: Sequence[Path], contents: Path) -> Iterator[Found]:
    for path in files:
        with path.open("rb") as file:
            head = file.read(dicom.MAGIC_AT + len(dicom.MAGIC))
        # a DICOM file may be a TIFF as well
        if head.startswith((*TIFF, CZI)) and head[dicom.MAGIC_AT :] != dicom.MAGIC:
            yield Found(str(path.relative_to(contents)), path)


def those_there(instances: Sequence[Instance], contents: Path) -> str:
    """Say what DICOM files are there instead of a slide."""
    names = [
        f"{each.path.relative_to(contents)}: "
        + (
            f"a slide's {each.flavour.lower()} image"
            if each.kind == dicom.WHOLE_SLIDE
            else dicom.described(each)
        )
        for each in instances
    ]
    more = len(names) - MOST_FILES_TO_NAME
    listed = "; ".join(names[:MOST_FILES_TO_NAME]) + (f"; and {more} more" if more > 0 else "")
    return listed or "other files"


def gathered(slide: Found, folder: Path) -> Path:
    """Return what OpenSlide is given, with all its files beside it: it looks into one folder."""
    if len({each.path.parent for each in slide.levels}) < 2:
        return slide.path
    target = folder / GATHERED
    target.mkdir(exist_ok=True)
    for number, each in enumerate(slide.levels):
        link = target / f"{number:05}.dcm"
        if not link.is_file():
            also_at(each.path, link)
    return target / f"{0:05}.dcm"
