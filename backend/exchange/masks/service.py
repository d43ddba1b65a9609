"""Exports of a slide's masks, each in the simplest way that is bounded in memory.

PNG, COCO and OME-Zarr are made while they are sent: a mask is read, written and forgotten, which
takes milliseconds, so there is nothing to wait for, to keep or to sweep. A DICOM Segmentation is
one object that must be whole before its headers are known, and takes the worker's libraries: it is
a job, whose file lies beside the slide's predictions and goes with them.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from sqlalchemy.orm import Session

from backend.exchange.masks import coco, ome_zarr, pictures
from backend.exchange.masks.archive import Entry, zipped
from backend.exchange.masks.contents import Contents
from backend.exchange.masks.manifest import Manifest
from backend.her2.reports.dicom_exports import DICOM, NotADicomSlide
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.grid import analysis_size

ENDING = ".masks.dcm"


class Format(StrEnum):
    PNG = "png"
    COCO = "coco"
    OME_ZARR = "ome-zarr"
    DICOM_SEG = "dicom-seg"


def archive(
    contents: Contents, kind: Format, database: Database, blobs: Blobs, settings: Settings
) -> Iterator[bytes]:
    """Yield the zip of a format that is made at once: the masks, then `manifest.json`."""
    manifest = Manifest(contents, kind, settings.analysis_mpp)
    items = contents.items(database, blobs, settings)

    def entries() -> Iterator[Entry]:
        if kind is Format.PNG:
            yield from pictures.entries(items, manifest)
        elif kind is Format.COCO:
            yield from coco.entries(items, manifest)
        else:
            size = analysis_size(contents.slide, settings.analysis_mpp)
            yield from ome_zarr.entries(items, manifest, size, settings.analysis_mpp)
        yield Entry("manifest.json", manifest.pieces())

    return zipped(entries())


def listing(
    contents: Contents, database: Database, blobs: Blobs, settings: Settings
) -> Iterator[bytes]:
    """Yield the manifest alone: what a DICOM object, which has none, is made of."""
    manifest = Manifest(contents, Format.DICOM_SEG, settings.analysis_mpp)
    for item in contents.items(database, blobs, settings):
        manifest.note(item)
    yield from manifest.pieces()


def dicom_file(contents: Contents, settings: Settings) -> Path:
    """Return where the Segmentation of these contents lies, once it is made."""
    return settings.pyramid_folder / contents.slide.sha256 / f"{contents.basis}{ENDING}"


def request_dicom(
    session: Session, settings: Settings, contents: Contents, *, requested_by: str
) -> Job:
    """Ask for the Segmentation of these contents; raise NotADicomSlide for any other slide."""
    require_dicom(contents.slide)
    return jobs.enqueue(
        session,
        settings,
        JobKind.EXPORT,
        f"{contents.slide.id}:{contents.basis}",
        params={"proposals": contents.prediction is not None},
        requested_by=requested_by,
    )


def require_dicom(slide: Slide) -> None:
    if slide.vendor != DICOM:
        raise NotADicomSlide(
            "A DICOM Segmentation refers to a DICOM image, and this slide's file is none. Convert "
            "the slide to DICOM and upload that; or take png, coco or ome-zarr."
        )
