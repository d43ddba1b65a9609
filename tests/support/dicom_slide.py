"""A phantom as a DICOM whole-slide image, with the headers of a de-identified study."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from backend.exchange.reports.dicom import completed
from models.phantom import PhantomSpec, field

FOLDER = TemporaryDirectory(prefix="membrana-dicom-")
TILE = 256
MPP = 0.25
ORIGIN_MM = (21.5, 40.25)
UID = "1.2.826.0.1.3680043.8.498.1"


def headers(width: int, height: int, mpp: float = MPP) -> Dataset:
    """Headers of a slide that lies turned on its glass: columns run down it, rows to the left."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = f"{UID}.3"
    made.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    made.SOPInstanceUID = f"{UID}.3"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"{UID}.1", f"{UID}.2"
    made.FrameOfReferenceUID = f"{UID}.4"
    made.Modality = "SM"
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.PatientID, made.PatientName = "ANON-17", "Anonymous^17"
    made.PatientBirthDate, made.PatientSex = "", "F"
    made.StudyID, made.AccessionNumber = "1", ""
    made.StudyDate, made.StudyTime = "20260101", "120000"
    made.ContainerIdentifier = "A3"
    made.Rows = made.Columns = TILE
    made.TotalPixelMatrixColumns, made.TotalPixelMatrixRows = width, height
    made.TotalPixelMatrixFocalPlanes = 1
    made.NumberOfFrames = -(-width // TILE) * -(-height // TILE)
    made.DimensionOrganizationType = "TILED_FULL"
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "YBR_FULL_422"
    made.PlanarConfiguration, made.PixelRepresentation = 0, 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.LossyImageCompression = "01"
    made.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    made.ImagedVolumeWidth, made.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = ORIGIN_MM
    made.TotalPixelMatrixOriginSequence = [origin]
    measures = Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    measures.SliceThickness = 0.004
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    return made


def source(width: int, height: int) -> Dataset:
    """The headers as an exporter is given them."""
    return completed(headers(width, height))


@cache
def dicom_file(
    width: int, height: int, seed: int = 3, *, her2: str = "3+", mpp: float = MPP
) -> Path:
    """Write a phantom of a tumour as one DICOM file of JPEG tiles; return its path."""
    path = Path(FOLDER.name) / f"phantom-{width}-{height}-{seed}-{her2}-{mpp}.dcm"
    pixels = field(PhantomSpec(seed=seed, her2=her2, mpp=mpp), (width, height)).image
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.full((rows * TILE, columns * TILE, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    frames = []
    for row in range(rows):
        for column in range(columns):
            tile = padded[row * TILE :, column * TILE :][:TILE, :TILE]
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(tile)).save(buffer, "JPEG", quality=90)
            frames.append(buffer.getvalue())
    made = headers(width, height, mpp)
    made.PixelData = encapsulate(frames)
    made["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path
