"""The score as DICOM Structured Report (TID 1500); of DICOM slides only."""

from backend.exchange.reports import dicom_slides
from backend.exchange.reports.format import Format, Source
from backend.her2.regions import geojson
from backend.kit.canonical import canonical


def write(source: Source) -> bytes:
    """Raise NotADicomSlide, DicomIncomplete."""
    # loaded with the first of them: a second that the service's start does not need
    from backend.exchange.reports import dicom, structured_report

    report, blobs = source.report, source.blobs
    slide = dicom_slides.of_dicom(source)
    content = source.content
    signed = content.signature
    images = dicom.source_of(
        source.settings.slide_folder / slide.sha256,
        width=report.inputs["slide"]["width"],
        height=report.inputs["slide"]["height"],
    )
    # a draft says what the slide is called today: called otherwise, it is another object
    called = canonical(dict(content.slide)).decode()
    identity = dicom.Identity(
        report.id, f"sr {report.document_sha256} {signed.sha256 if signed else called}"
    )
    regions = geojson.from_document(blobs.read(report.inputs["regions"]["sha256"]))
    instance = structured_report.structured_report(content, regions, images, identity)
    return dicom.serialized(instance, identity, content.dated)


FORMAT = Format(write, dicom_slides.modality_is("sr"))
