"""From a report's frozen inputs to its cells and its document; the same inputs, the same bytes."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from backend import __version__
from backend.her2.regions import geojson
from backend.her2.regions.geojson import Region
from backend.kit.errors import Unprocessable
from backend.kit.storage import pyramids
from backend.kit.storage.blobs import Blobs, file_sha256
from backend.kit.storage.whole_files import draft
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.reading.reader import open_slide
from models.canonical import canonical
from models.her2.cells import Cells
from models.her2.connectivity import connectivity
from models.her2.evaluated import tissue_mm2
from models.her2.flags import Flag
from models.her2.mask_doubt import flag_of, uncertain_share
from models.her2.nuclei import Detector
from models.her2.pixels import Regions
from models.her2.protocols import Protocol, ProtocolError, load, read_calibration
from models.her2.quality import quality_flags
from models.her2.tiles import measure
from models.her2.white_point import Survey, survey
from worker.her2 import document
from worker.her2.detector import calibration_flags, detector_of, of_detector
from worker.her2.document import CellEdit, Scored
from worker.her2.slide import SlideMasks, SlidePixels, regions_of

Inputs = Mapping[str, Any]
Progress = Callable[[int, int], None]


class ProtocolUnusable(Unprocessable):
    code, title = "protocol_unusable", "The protocol or its calibration can't be used"


@dataclass(frozen=True)
class Opened:
    """A slide as a report's inputs name it, open for reading."""

    pixels: SlidePixels
    masks: SlideMasks
    regions: Regions
    polygons: Sequence[Region]
    protocol: Protocol
    detector: Detector | None = None
    """None: the built-in one."""


@dataclass(frozen=True)
class Measurement:
    """Cells of a slide and what was remarked while they were measured."""

    cells: Cells
    flags: tuple[Flag, ...]
    connectivity: float | None
    damaged: bool
    tissue_mm2: float
    """In the regions."""

    def remarks(self) -> bytes:
        """Return all but the cells, as canonical JSON."""
        remarks = {
            "flags": [{"code": flag.code, "detail": flag.detail} for flag in self.flags],
            "connectivity": self.connectivity,
            "damaged": self.damaged,
            "tissue_mm2": self.tissue_mm2,
        }
        return canonical(remarks)

    @classmethod
    def restored(cls, cells: Cells, remarks: bytes, on: "Opened") -> "Measurement":
        """Read what an earlier attempt kept; an earlier version kept no area of tissue."""
        document = json.loads(remarks)
        flags = tuple(Flag(**flag) for flag in document["flags"])
        tissue = document["tissue_mm2"] if "tissue_mm2" in document else tissue_of(on, None)
        return cls(cells, flags, document["connectivity"], document["damaged"], tissue)


@contextmanager
def opened(slide: Slide, inputs: Inputs, blobs: Blobs, settings: Settings) -> Iterator[Opened]:
    """Open what a report is measured on. Raise ProtocolUnusable, or what the file raises."""
    polygons = geojson.from_document(blobs.read(inputs["regions"]["sha256"]))
    masks = {
        (row, column): sha256
        for row, column, sha256 in json.loads(blobs.read(inputs["masks"]["sha256"]))
    }
    folder = pyramids.folder_of(settings.pyramid_folder, slide.sha256, inputs["model"]["id"])
    reader = open_slide(slide, settings)
    pixels = SlidePixels(reader, slide)
    try:
        yield Opened(
            pixels,
            SlideMasks(pyramids.opened(folder), masks, blobs, inputs["analysis_mpp"]),
            regions_of(polygons, pixels),
            polygons,
            protocol_of(inputs, blobs),
            detector_of(settings.nucleus_detector, inputs.get("detector")),
        )
    finally:
        reader.close()


def protocol_of(inputs: Inputs, blobs: Blobs) -> Protocol:
    name, calibration = inputs["protocol"], inputs["calibration_sha256"]
    try:
        measured = read_calibration(blobs.path(calibration), protocol=name) if calibration else None
        merged = inputs.get("merge_zero_plus")
        return load(name, calibration=measured, gap=inputs["gap"], merge_zero_plus=merged)
    except ProtocolError as wrong:
        raise ProtocolUnusable(f"{wrong}.") from wrong


def measured(on: Opened, *, threads: int, progress: Progress) -> Measurement:
    """Find and measure the cells in the regions."""
    measured_cells = measure(
        on.pixels,
        on.masks,
        regions=on.regions,
        settings=document.settings_of(on.protocol),
        detector=on.detector,
        workers=threads or None,
        progress=progress,
    )
    connected = connectivity(on.pixels, on.masks, on.regions)
    unsure = uncertain_share(on.pixels, on.masks, on.regions)
    flags = (*quality_flags(measured_cells, on.regions), *flag_of(unsure))
    tissue = tissue_of(on, measured_cells.survey)
    return Measurement(measured_cells.cells, flags, connected, on.pixels.damaged > 0, tissue)


def tissue_of(on: Opened, known: Survey | None) -> float:
    """Return how many mm² of the regions are tissue. known: the slide's survey, if there is one."""
    surveyed = known or survey(on.pixels, document.settings_of(on.protocol).vectors)
    return tissue_mm2(surveyed.tissue, on.regions, on.pixels.mpp)


def scored(
    on: Opened,
    measurement: Measurement,
    edits: Sequence[CellEdit],
    inputs: Inputs,
    assay: Mapping[str, Any],
) -> Scored:
    """Score the cells and say where all of it comes from."""
    seed = int(inputs["slide"]["sha256"][:8], 16)
    result = document.score(
        measurement.cells,
        edits,
        protocol=on.protocol,
        regions=on.regions,
        flags=(
            *measurement.flags,
            *flags_of(assay),
            *calibration_flags(on.protocol, inputs.get("detector")),
        ),
        connectivity=measurement.connectivity,
        seed=seed,
        tissue_mm2=measurement.tissue_mm2,
    )
    result.document["regions"] = document.described(on.polygons, on.pixels.mpp)
    result.document["assay"] = dict(assay)
    result.document["provenance"] = {
        "slide": {**inputs["slide"], "damaged": measurement.damaged},
        "analysis_mpp": inputs["analysis_mpp"],
        "model": inputs["model"],
        "masks": inputs["masks"],
        "regions": inputs["regions"],
        "decisions": inputs.get("decisions"),
        **of_detector(inputs.get("detector")),
        "seed": seed,
        "software": software(),
    }
    return result


def flags_of(assay: Mapping[str, Any]) -> Iterator[Flag]:
    """Remark what nobody said of the staining, and a control that failed."""
    if not assay.get("antibody"):
        yield Flag("antibody_missing", "Which antibody stained the slide is not stated.")
    if assay.get("cytoplasm_obscures"):
        yield Flag(
            "cytoplasm_obscures",
            "A person says that the cytoplasm hides membranes: a 2+ pattern that can't be counted.",
        )
    if assay.get("controls") == "failed":
        yield Flag("control_failed", "The control tissue did not stain as it must.")
    elif not assay.get("controls"):
        yield Flag("control_missing", "Nobody has said that the control tissue stained as it must.")


@cache
def software() -> dict[str, Any]:
    """Return which code computes here."""
    return {
        "name": "membrana",
        "version": __version__,
        "commit": commit(Path(__file__).parents[2] / ".git"),
        "code_sha256": document.code_sha256(),
    }


def commit(git: Path) -> str | None:
    """Return the commit of a working copy; an installed package has none."""
    try:
        head = (git / "HEAD").read_text().strip()
        name = head.removeprefix("ref: ")
        return head if name == head else (git / name).read_text().strip()
    except OSError:
        return None


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Name the values in which two documents differ; which software made them is not compared."""
    if place == "provenance.software" or before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted({*before, *after})
        inside = (
            differences(before.get(name), after.get(name), f"{place}.{name}".lstrip("."))
            for name in names
        )
        return [each for names_inside in inside for each in names_inside]
    return [place]


def put_cells(blobs: Blobs, cells: Cells) -> str:
    """Store cells; equal cells are equal bytes."""
    with draft(blobs.folder) as file:
        path = Path(file.name)
        cells.save(path)
        return adopted(blobs, path)


def put_gzipped(blobs: Blobs, pieces: Iterable[str]) -> str:
    """Store text as gzip without a date, piece by piece."""
    with draft(blobs.folder) as file:
        with gzip.GzipFile(
            filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6
        ) as packed:
            for piece in pieces:
                packed.write(piece.encode())
        file.flush()
        return adopted(blobs, Path(file.name))


def adopted(blobs: Blobs, path: Path) -> str:
    sha256 = file_sha256(path)
    blobs.adopt(path, sha256)
    return sha256
