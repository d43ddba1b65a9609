"""The membrane masks of a report's regions as a DICOM object."""

from worker.exporters.exporter import ReportFile, Scene


def write(scene: Scene) -> bytes | None:
    """Return the object; raise DicomIncomplete where the slide's headers do not allow it."""
    from backend.exchange.reports.dicom import Identity, serialized, source_of
    from worker.exporters.masks_dicom import segmentation

    report, slide, on = scene.report, scene.slide, scene.on
    source = source_of(
        scene.settings.slide_folder / slide.sha256, width=slide.width or 0, height=slide.height or 0
    )
    model = report.inputs["model"]
    identity = Identity(report.id, "seg")
    dataset = segmentation(
        on.pixels,
        on.masks,
        on.regions,
        source,
        identity,
        model=model["name"],
        weights_sha256=str(model["weights_sha256"]),
    )
    return None if dataset is None else serialized(dataset, identity, report.created_at)


FILE = ReportFile("seg", write, of_dicom=True, of_inputs=True)
