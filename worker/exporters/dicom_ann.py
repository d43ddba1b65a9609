"""A report's cells as a DICOM object."""

from hashlib import sha256

from worker.exporters.exporter import ReportFile, Scene
from worker.her2.document import Scored


def write(scene: Scene) -> bytes | None:
    """Return the object; raise DicomIncomplete where the slide's headers do not allow it."""
    from backend.exchange.reports.dicom import Identity, serialized, source_of
    from worker.exporters.cells_dicom import annotations

    report, slide, scored = scene.report, scene.slide, scene.scored
    source = source_of(
        scene.settings.slide_folder / slide.sha256, width=slide.width or 0, height=slide.height or 0
    )
    identity = Identity(report.id, f"ann {digest(scored)}")
    dataset = annotations(scored.cells, scored.included, source, identity)
    return None if dataset is None else serialized(dataset, identity, report.created_at)


def digest(scored: Scored) -> str:
    """Tell apart what people decided on the cells, for the same report."""
    return sha256(scored.cells.label.tobytes() + scored.included.tobytes()).hexdigest()


FILE = ReportFile("ann", write, of_dicom=True)
