"""What a DICOM file is, by its headers, and why a whole-slide image of it can't be read here.

OpenSlide reads the files of a series that lie in one folder, and names what it does not read by
numbers (openslide-vendor-dicom.c); people are told in words.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from backend.kit.errors import Unprocessable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAGIC, MAGIC_AT = b"DICM", 128
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
DIRECTORY = "1.2.840.10008.1.3.10"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = frozenset(f"1.2.840.10008.1.2.{each}" for each in ("1", "4.50", "4.90", "4.91"))
"""Transfer syntaxes that OpenSlide decodes: uncompressed, JPEG of 8 bits, JPEG 2000."""
TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "ImageType", "ContainerIdentifier"),
    *("PyramidUID", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
    *("TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths", "SamplesPerPixel", "BitsAllocated"),
    *("PhotometricInterpretation", "Rows", "Columns", "NumberOfFrames"),
    *("DimensionOrganizationType", "ConcatenationFrameOffsetNumber"),
)
DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, struct.error),
    *(NotImplementedError, ArithmeticError, RecursionError, MemoryError),
)
"""What reading headers that somebody damaged may raise, besides pydicom's own."""
JPEG = "1.2.840.10008.1.2.4.50"
PIXEL_DATA = 0x7FE00010
HEAD_OF_PIXELS = struct.Struct("<HHxxxxI")
"""The element of the pixels: its tag, and how many bytes follow."""
UNKNOWN_LENGTH = 0xFFFFFFFF
PER_FRAME_GROUP = 0x5200
"""Groups from here on describe single frames and may be as long as there are tiles."""
VOLUME = "VOLUME"


class DicomUnsupported(Unprocessable):
    code, title = "dicom_unsupported", "This DICOM file can't be read as a slide"


@dataclass(frozen=True)
class Instance:
    """A DICOM file: its place (path), and what its headers say; None where they say nothing."""

    path: Path
    kind: str
    syntax: str
    headers: "Dataset | None"

    @property
    def is_level(self) -> bool:
        """Say whether it is an image of the tissue, not of the label or the whole glass."""
        return self.kind == WHOLE_SLIDE and (self.headers is None or self.flavour == VOLUME)

    @property
    def flavour(self) -> str:
        values = self.text("ImageType").split("\\")
        return values[2].upper() if len(values) > 2 else VOLUME

    def text(self, name: str) -> str:
        value: Any = self.headers.get(name) if self.headers is not None else None
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            return "" if value is None else str(value)
        return "\\".join(map(str, value))

    def number(self, name: str, default: int) -> int:
        text = self.text(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default


def has_magic(file: IO[bytes]) -> bool:
    """Say whether a file that is at its beginning is DICOM."""
    return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return has_magic(file)


def read_instance(path: Path) -> Instance | None:
    """Return what a file's headers say, without its frames; None for what is no DICOM file."""
    # loaded when a file is DICOM, not when the service starts
    from pydicom.datadict import tag_for_keyword
    from pydicom.errors import BytesLengthException, InvalidDicomError
    from pydicom.filereader import read_file_meta_info, read_partial

    if not is_dicom(path):
        return None
    try:
        meta = read_file_meta_info(path)
        kind, syntax = (
            str(meta.get(name) or "") for name in ("MediaStorageSOPClassUID", "TransferSyntaxUID")
        )
        headers = None
        # a deflated file would be unpacked whole, whatever it holds
        if kind == WHOLE_SLIDE and syntax != DEFLATED:
            with path.open("rb") as file:
                headers = read_partial(
                    file,
                    stop_when=lambda tag, _vr, _length: tag.group >= PER_FRAME_GROUP,
                    specific_tags=[tag for name in TAGS if (tag := tag_for_keyword(name))],
                )
                instance = Instance(path, kind, syntax, headers)
                # values are decoded when they are looked at
                for name in TAGS:
                    instance.text(name)
    except (*DAMAGED, InvalidDicomError, BytesLengthException):
        return Instance(path, "", "", None)
    return Instance(path, kind, syntax, headers)


def frames(level: Instance) -> Iterator[bytes]:
    """Yield a level's tiles as they are stored; raise DicomUnsupported if some are not there.

    Of an uncompressed file only its length is looked at, and nothing is yielded.
    """
    from pydicom.encaps import generate_frames
    from pydicom.filereader import read_partial

    wanted = level.number("NumberOfFrames", 1)
    whole = 0
    try:
        with level.path.open("rb") as file:
            read_partial(file, stop_when=lambda tag, _vr, _length: tag >= PIXEL_DATA)
            group, element, length = HEAD_OF_PIXELS.unpack(file.read(HEAD_OF_PIXELS.size))
            if (group << 16) + element != PIXEL_DATA:
                raise ValueError
            if length != UNKNOWN_LENGTH:
                whole = wanted if file.tell() + length <= level.path.stat().st_size else 0
            else:
                for frame in generate_frames(file, number_of_frames=wanted):
                    whole += 1
                    yield frame
    except DAMAGED:
        # what is missing is counted
        pass
    if whole < wanted:
        raise DicomUnsupported(
            f"The DICOM file {level.path.name} is not complete: {whole} of its {wanted} tiles can "
            "be found. Copy it again, or export the slide anew.",
            code="dicom_damaged",
        )


def check_lone(path: Path) -> None:
    """Raise DicomUnsupported for a DICOM file that is no slide or can't be decoded here."""
    instance = read_instance(path)
    if instance is None:
        return
    if instance.kind != WHOLE_SLIDE:
        raise DicomUnsupported(
            f"The file is {described(instance)}, not a whole-slide image. Upload the slide's own "
            "DICOM files in a zip.",
            code="dicom_not_a_slide",
        )
    if not instance.is_level:
        raise DicomUnsupported(
            f"The file is a slide's {instance.flavour.lower()} image, not its tissue. Upload all "
            "DICOM files of the slide in a zip.",
            code="dicom_not_a_slide",
        )
    check_levels([instance])


def check_levels(levels: Sequence[Instance]) -> None:
    """Raise DicomUnsupported, in words, for what OpenSlide can't decode."""
    for each in levels:
        if reason := why_unreadable(each):
            raise DicomUnsupported(f"The slide {reason}")


def why_unreadable(level: Instance) -> str:
    """Return what is in the way of reading a level, as the rest of a sentence; or nothing."""
    if level.syntax not in SYNTAXES:
        return (
            f"is compressed as {name_of(level.syntax)}, which can't be decoded here. Export it "
            "with JPEG Baseline or JPEG 2000."
        )
    if level.number("TotalPixelMatrixFocalPlanes", 1) > 1:
        planes = level.text("TotalPixelMatrixFocalPlanes")
        return f"has {planes} focal planes (a z-stack); export it with one."
    if level.number("NumberOfOpticalPaths", 1) > 1:
        paths = level.text("NumberOfOpticalPaths")
        return (
            f"has {paths} optical paths (as fluorescence has); taken are slides of one path, "
            "brightfield in RGB."
        )
    samples, bits = level.number("SamplesPerPixel", 3), level.number("BitsAllocated", 8)
    if (samples, bits) != (3, 8):
        return (
            f"has {samples} channel{'s' * (samples != 1)} of {bits} bits; taken are slides in RGB "
            "of 8 bits."
        )
    return ""


def name_of(uid: str) -> str:
    """Return the standard's name of a UID, without the word that all of its kind share."""
    from pydicom.uid import UID

    return UID(uid).name.removesuffix(" Storage").removesuffix(" Image Compression") or "unknown"


def described(instance: Instance) -> str:
    """Say what kind of DICOM object a file is."""
    if instance.kind == DIRECTORY:
        return "a DICOMDIR, the table of contents of a disc"
    return (
        f"the DICOM object “{name_of(instance.kind)}”" if instance.kind else "a damaged DICOM file"
    )


def slides_among(levels: Sequence[Instance]) -> list[list[Instance]]:
    """Return the levels of each slide, the largest first.

    A slide is a series; and one container (the glass) or pyramid, where a series names several.
    """
    series: defaultdict[str, list[Instance]] = defaultdict(list)
    for each in levels:
        series[each.text("SeriesInstanceUID")].append(each)
    return [
        sorted(part, key=pixels_of, reverse=True)
        for whole in series.values()
        for part in parted(whole)
    ]


def parted(series: list[Instance]) -> list[list[Instance]]:
    for name in ("ContainerIdentifier", "PyramidUID"):
        if len({each.text(name) for each in series} - {""}) > 1:
            parts: defaultdict[str, list[Instance]] = defaultdict(list)
            for each in series:
                parts[each.text(name)].append(each)
            return list(parts.values())
    return [series]


def pixels_of(level: Instance) -> int:
    return level.number("TotalPixelMatrixColumns", 0) * level.number("TotalPixelMatrixRows", 0)
