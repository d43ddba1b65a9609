"""A report's DICOM objects: what its job stored, and the structured report, made when asked for."""

from sqlalchemy.orm import Session

from backend.her2.regions import geojson
from backend.her2.reports import exports, requests, service
from backend.her2.reports.tables import Report
from backend.kit.errors import Conflict
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide

DICOM = "dicom"
"""Vendor of a slide that is stored in DICOM."""


class NotADicomSlide(Conflict):
    code, title = "not_a_dicom_slide", "The slide is no DICOM image"


class DicomNotMade(Conflict):
    code, title = "dicom_not_made", "This report has no such DICOM object"


def of_dicom(session: Session, report_id: str) -> tuple[Report, Slide]:
    """Return a computed report of a DICOM slide; raise NotADicomSlide for any other."""
    report = service.computed(session, report_id)
    slide = slides.get(session, report.slide_id)
    if requests.labels_of(session, report)["vendor"] != DICOM:
        raise NotADicomSlide(
            "DICOM objects refer to a DICOM image, and this slide's file is none. Convert the "
            "slide to DICOM, upload it and score that; or take another format."
        )
    return report, slide


def stored(session: Session, blobs: Blobs, report_id: str, name: str) -> bytes:
    """Return the object "seg" or "ann" of a report; raise DicomNotMade where there is none."""
    report, _ = of_dicom(session, report_id)
    if name not in report.files:
        raise DicomNotMade(
            "There was nothing to put into it, the slide's headers lack what it refers to, the "
            "area is too large for one object, or the report is older than this export."
        )
    return blobs.read(report.files[name])


def structured_report(session: Session, blobs: Blobs, settings: Settings, report_id: str) -> bytes:
    """Return the score as a DICOM structured report. Raise NotADicomSlide, DicomIncomplete."""
    # loaded with the first of them: a second that the service's start does not need
    from backend.exchange.reports import dicom, dicom_sr

    report, slide = of_dicom(session, report_id)
    content = exports.content_of(session, blobs, report)
    signed = content.signature
    source = dicom.source_of(
        settings.slide_folder / slide.sha256,
        width=report.inputs["slide"]["width"],
        height=report.inputs["slide"]["height"],
    )
    # a draft says what the slide is called today: called otherwise, it is another object
    called = requests.canonical(dict(content.slide)).decode()
    identity = dicom.Identity(
        report.id, f"sr {report.document_sha256} {signed.sha256 if signed else called}"
    )
    regions = geojson.from_document(blobs.read(report.inputs["regions"]["sha256"]))
    made = dicom_sr.structured_report(content, regions, source, identity)
    return dicom.settled(made, identity, content.dated)
