"""What the DICOM formats share before their library is loaded: which slides and files have them."""

import io
from collections.abc import Callable

from backend.exchange.reports.format import File, Format, Source
from backend.her2.reports import requests
from backend.kit.errors import Conflict
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide

DICOM = "dicom"
"""Vendor of a slide that is stored in DICOM."""
PREAMBLE = 128
"""Bytes before the letters DICM."""


class NotADicomSlide(Conflict):
    code, title = "not_a_dicom_slide", "The slide is no DICOM image"


class DicomNotMade(Conflict):
    code, title = "dicom_not_made", "This report has no such DICOM object"


class DicomIncomplete(Conflict):
    code, title = "dicom_incomplete", "The slide's DICOM headers lack what an export refers to"


def of_dicom(source: Source) -> Slide:
    """Return the slide of a report; raise NotADicomSlide unless it is stored in DICOM."""
    if requests.labels_of(source.session, source.report)["vendor"] != DICOM:
        raise NotADicomSlide(
            "DICOM objects refer to a DICOM image, and this slide's file is none. Convert the "
            "slide to DICOM, upload it and score that; or take another format."
        )
    return slides.get(source.session, source.report.slide_id)


def stored_format(name: str) -> Format:
    """Return the format of objects that the report's job has stored under a name."""

    def write(source: Source) -> bytes:
        of_dicom(source)
        if name not in source.report.files:
            raise DicomNotMade(
                "There was nothing to put into it, the slide's headers lack what it refers to, the "
                "area is too large for one object, or the report is older than this export."
            )
        return source.blobs.read(source.report.files[name])

    return Format(write, modality_is(name))


def modality_is(name: str) -> Callable[[File], str | None]:
    """Tell DICOM objects by their modality, which is the format's name."""

    def urn_in(file: File) -> str | None:
        return file.urn if modality_of(file) == name else None

    return urn_in


def modality_of(file: File) -> str:
    """Return a DICOM object's modality in small letters; empty if the file is none, or cut off."""
    if file.content[PREAMBLE : PREAMBLE + 4] != b"DICM":
        return ""
    # loaded with the first such file
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        read = pydicom.dcmread(io.BytesIO(file.content), stop_before_pixels=True)
        return str(read.Modality).lower()
    except (InvalidDicomError, AttributeError, ValueError, EOFError):
        return ""
