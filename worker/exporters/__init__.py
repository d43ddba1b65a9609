"""What is made of pixels and cells for the formats of backend/exchange.

A new one is a file here and a line in its list. The library of DICOM is loaded with its first
object: it takes a second, and most slides need none.
"""

from worker.exporters import (
    cells_csv,
    cells_geojson,
    dicom_ann,
    dicom_seg,
    slide_masks_dicom,
    tiles_csv,
)
from worker.exporters.exporter import MaskFile, ReportFile

REPORT_FILES: tuple[ReportFile, ...] = (
    cells_csv.FILE,
    cells_geojson.FILE,
    tiles_csv.FILE,
    dicom_ann.FILE,
    dicom_seg.FILE,
)
MASK_FILES: tuple[MaskFile, ...] = (slide_masks_dicom.FILE,)
