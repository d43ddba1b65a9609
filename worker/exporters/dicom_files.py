"""The DICOM objects of a report that are made of pixels and cells, as files by name."""

from hashlib import sha256

from backend.exchange.reports.dicom import Identity, settled, source_of
from backend.her2.reports.tables import Report
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from worker.exporters import cells_dicom, masks_dicom
from worker.her2.document import Scored
from worker.her2.measurement import Opened


def contents(
    report: Report,
    slide: Slide,
    settings: Settings,
    on: Opened,
    scored: Scored,
    *,
    with_masks: bool,
) -> dict[str, bytes]:
    """Return "ann", and "seg" if asked for, each where there is something to put into it.

    Masks follow from the report's inputs alone, so they stay when people decide on cells. Raise
    DicomIncomplete where the slide's headers lack what the objects refer to.
    """
    source = source_of(
        settings.slide_folder / slide.sha256, width=slide.width or 0, height=slide.height or 0
    )
    model = report.inputs["model"]
    found = {}
    cells = Identity(report.id, f"ann {digest(scored)}")
    annotations = cells_dicom.annotations(scored.cells, scored.included, source, cells)
    if annotations is not None:
        found["ann"] = settled(annotations, cells, report.created_at)
    if with_masks:
        masks = Identity(report.id, "seg")
        segmentation = masks_dicom.segmentation(
            on.pixels,
            on.masks,
            on.regions,
            source,
            masks,
            model=model["name"],
            weights_sha256=str(model["weights_sha256"]),
        )
        if segmentation is not None:
            found["seg"] = settled(segmentation, masks, report.created_at)
    return found


def digest(scored: Scored) -> str:
    """Tell apart what people decided on the cells, for the same report."""
    return sha256(scored.cells.label.tobytes() + scored.included.tobytes()).hexdigest()
