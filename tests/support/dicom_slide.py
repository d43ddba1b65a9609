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
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.3"
    dataset.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    dataset.SOPInstanceUID = f"{UID}.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID}.1", f"{UID}.2"
    dataset.FrameOfReferenceUID = f"{UID}.4"
    dataset.Modality = "SM"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.PatientID, dataset.PatientName = "ANON-17", "Anonymous^17"
    dataset.PatientBirthDate, dataset.PatientSex = "", "F"
    dataset.StudyID, dataset.AccessionNumber = "1", ""
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.ContainerIdentifier = "A3"
    dataset.Rows = dataset.Columns = TILE
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = width, height
    dataset.TotalPixelMatrixFocalPlanes = 1
    dataset.NumberOfFrames = -(-width // TILE) * -(-height // TILE)
    dataset.DimensionOrganizationType = "TILED_FULL"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "YBR_FULL_422"
    dataset.PlanarConfiguration, dataset.PixelRepresentation = 0, 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.LossyImageCompression = "01"
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    dataset.ImagedVolumeWidth, dataset.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = ORIGIN_MM
    dataset.TotalPixelMatrixOriginSequence = [origin]
    measures = Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    measures.SliceThickness = 0.004
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    return dataset


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
    dataset = headers(width, height, mpp)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path
