"""The membrane mask of the scored area as DICOM Segmentation; of DICOM slides only."""

from backend.exchange.reports import dicom_slides

FORMAT = dicom_slides.stored_format("seg")
