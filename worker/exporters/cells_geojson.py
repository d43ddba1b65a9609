"""The measured cells as GeoJSON that QuPath opens without a script: cells, classes, measurements.

Coordinates are level-0 px. A feature's id is made of the report and the cell's number, so the same
cell has the same id in every export.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt

from backend.exchange.reports.words import COLOURS, EXCLUDED, REGION_COLOURS
from backend.her2.classes import CLASS_NAMES
from backend.her2.regions.geojson import Region
from backend.kit.product import RESEARCH_USE_ONLY
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from worker.exporters.exporter import ReportFile, Scene

Bool = npt.NDArray[np.bool_]
MEASURES = {
    "Membrane: Completeness": "completeness",
    "Membrane: Own completeness": "unshared",
    "Membrane: DAB OD": "intensity",
    "Membrane: Width µm": "width_um",
    "Membrane: Largest gap °": "gap_degrees",
    "Membrane: Reviewed µm": "reviewed_um",
    "Cytoplasm: DAB OD": "cytoplasm",
    "Nucleus: Area µm^2": "area_um2",
}
DECIMALS = 1


def pieces(
    cells: Cells, included: Bool, regions: Sequence[Region], *, report_id: str, urn: str
) -> Iterator[str]:
    """Yield the collection in pieces: the regions as annotations, then the cells."""
    provenance = {"research_use_only": RESEARCH_USE_ONLY, "report": urn}
    head = json.dumps(provenance, ensure_ascii=False)
    yield f'{{"type":"FeatureCollection","membrana":{head},"features":['
    comma = ""
    for region in regions:
        yield comma + compact(annotation(region))
        comma = ",\n"
    kinds = [classification(f"{name} {CLASS_NAMES[name]}", COLOURS[name]) for name in CLASSES]
    left_out = classification(EXCLUDED, COLOURS[EXCLUDED])
    measures = {name: getattr(cells, column).tolist() for name, column in MEASURES.items()}
    home = UUID(report_id)
    for number, label in enumerate(cells.label.tolist()):
        feature = {
            "type": "Feature",
            "id": str(uuid5(home, str(number))),
            "geometry": polygon(cells.membrane[number]),
            "nucleusGeometry": polygon(cells.nucleus[number]),
            "properties": {
                "objectType": "cell",
                "name": str(number),
                "classification": kinds[label] if included[number] else left_out,
                "measurements": {
                    name: round(values[number], 4) for name, values in measures.items()
                },
            },
        }
        yield comma + compact(feature)
        comma = ",\n"
    yield "]}\n"


def compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def annotation(region: Region) -> dict[str, Any]:
    feature = region.feature()
    title = str(region.kind).capitalize()
    feature["properties"] |= {
        "objectType": "annotation",
        "classification": classification(title, REGION_COLOURS[region.kind]),
        "isLocked": True,
    }
    return feature


def classification(name: str, colour: str) -> dict[str, Any]:
    return {"name": name, "color": [int(colour[at : at + 2], 16) for at in (1, 3, 5)]}


def polygon(corners: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Close an outline (16, 2); as doubles first, or each number would show float32's noise."""
    ring = corners.astype(np.float64).round(DECIMALS).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def write(scene: Scene) -> Iterator[str]:
    cells, included = scene.scored.cells, scene.scored.included
    return pieces(cells, included, scene.on.polygons, report_id=scene.report.id, urn=scene.urn)


FILE = ReportFile("geojson", write)
