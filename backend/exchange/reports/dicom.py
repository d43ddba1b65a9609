"""What a report's DICOM objects share: the source slide's headers, their identity, who made them.

Everything about patient, study and specimen is copied from the headers of the slide's own image of
the tissue, never from its label or overview; what these lack stays empty.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr.coding import Code
from pydicom.uid import VLWholeSlideMicroscopyImageStorage

from backend import __version__
from backend.exchange.reports.dicom_slides import DicomIncomplete
from backend.kit.product import PRODUCT, RESEARCH_USE_ONLY

LOCAL = "99MEMBRANA"
"""Coding scheme of what no standard scheme has a code for."""
MAKER: dict[str, Any] = {
    "manufacturer": PRODUCT,
    "manufacturer_model_name": "Membrana HER2",
    "software_versions": __version__,
    "device_serial_number": "1",
}
NEEDED = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "TotalPixelMatrixColumns",
    "TotalPixelMatrixRows",
    "ImageOrientationSlide",
    "SharedFunctionalGroupsSequence",
)
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
"""Required to be there in what is derived, but allowed to be empty (type 2)."""


@dataclass(frozen=True)
class Identity:
    """UIDs that follow from a report and what went into an object: equal inputs, equal UIDs."""

    report_id: str
    basis: str

    def uid(self, name: str) -> str:
        """A UID of the kind that stands for a UUID (PS3.5 B.2)."""
        return f"2.25.{uuid5(UUID(self.report_id), f'{self.basis} {name}').int}"

    @property
    def ids(self) -> dict[str, Any]:
        """Series and instance, as highdicom's constructors take them."""
        return {
            "series_instance_uid": self.uid("series"),
            "series_number": 1,
            "sop_instance_uid": self.uid("instance"),
            "instance_number": 1,
        }


def source_of(folder: Path, *, width: int, height: int) -> Dataset:
    """Return the headers of the full-resolution image of the tissue among a slide's files.

    width, height: level-0 px of the slide. Raise DicomIncomplete where there is no such image or
    its headers do not say where it lies.
    """
    for headers in images(folder):
        size = headers.get("TotalPixelMatrixColumns"), headers.get("TotalPixelMatrixRows")
        if size == (width, height) and "VOLUME" in headers.get("ImageType", ()):
            return completed(headers)
    raise DicomIncomplete(f"No image of {width} × {height} px is among the slide's files.")


def images(folder: Path) -> Iterator[Dataset]:
    """Yield the headers of the whole-slide images in a folder, in the order of their names."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            headers = pydicom.dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            continue
        if headers.get("SOPClassUID") == VLWholeSlideMicroscopyImageStorage:
            yield headers


def completed(headers: Dataset) -> Dataset:
    """Give headers what derived objects must have; where a slide begins is at 0, 0 if not said."""
    missing = [name for name in NEEDED if not headers.get(name)]
    if not missing and "PixelMeasuresSequence" not in headers.SharedFunctionalGroupsSequence[0]:
        missing = ["PixelMeasuresSequence"]
    if missing:
        raise DicomIncomplete(f"The slide's headers lack {', '.join(missing)}.")
    for name in MAY_BE_EMPTY:
        if name not in headers:
            setattr(headers, name, None)
    if "TotalPixelMatrixOriginSequence" not in headers:
        corner = Dataset()
        corner.XOffsetInSlideCoordinateSystem = 0
        corner.YOffsetInSlideCoordinateSystem = 0
        headers.TotalPixelMatrixOriginSequence = [corner]
    return headers


def local(value: str, meaning: str) -> Code:
    return Code(value, LOCAL, meaning)


def serialized(instance: Dataset, identity: Identity, at: datetime) -> bytes:
    """Return an object as a file, without what depends on when it was written.

    It names its report, as every export does, so that it can be traced back and checked. Every
    date is the report's, and a UID that was drawn is replaced by one of `identity`. Its text is
    UTF-8, whatever the slide's is: people's names and the patient's may be in any letters.
    """
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SeriesDescription = RESEARCH_USE_ONLY
    instance.PerformedProcedureStepDescription = f"urn:membrana:report:{identity.report_id}"
    for element in instance.iterall():
        if element.keyword in {"ContentDate", "InstanceCreationDate", "SeriesDate"}:
            element.value = f"{at:%Y%m%d}"
        elif element.keyword in {"ContentTime", "InstanceCreationTime", "SeriesTime"}:
            element.value = f"{at:%H%M%S}"
        elif element.keyword == "ContributionDateTime":
            element.value = f"{at:%Y%m%d%H%M%S}"
        elif element.keyword == "DimensionOrganizationUID":
            element.value = identity.uid("dimensions")
    buffer = io.BytesIO()
    instance.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
