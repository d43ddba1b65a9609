"""The cells as DICOM Microscopy Bulk Simple Annotations; of DICOM slides only."""

from backend.exchange.reports import dicom_slides

FORMAT = dicom_slides.stored_format("ann")
