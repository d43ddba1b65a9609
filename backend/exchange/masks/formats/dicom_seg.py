"""Masks as one DICOM Segmentation, of DICOM slides only."""

from backend.exchange.masks.format import Built
from backend.exchange.reports.dicom_slides import DICOM, NotADicomSlide
from backend.slides.catalogue.tables import Slide


def require_dicom(slide: Slide) -> None:
    """Raise NotADicomSlide unless the slide is stored in DICOM."""
    if slide.vendor != DICOM:
        raise NotADicomSlide(
            "A DICOM Segmentation refers to a DICOM image, and this slide's file is none. Convert "
            "the slide to DICOM and upload that; or take png, coco or ome-zarr."
        )


FORMAT = Built("dicom-seg", ending="dcm", require=require_dicom)
