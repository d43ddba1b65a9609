"""The measured cells as DICOM Microscopy Bulk Simple Annotations: a group of polygons a class.

Coordinates are px of the source's total pixel matrix, 0, 0 the corner of its first pixel (PS3.3
C.37.1.2): our level-0 px. Cells that were left out are left out here too.
"""

from collections.abc import Iterator

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.ann import (
    AnnotationCoordinateTypeValues,
    AnnotationGroup,
    AnnotationGroupGenerationTypeValues,
    GraphicTypeValues,
    Measurements,
    MicroscopyBulkSimpleAnnotations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from backend import __version__
from backend.exchange.reports.dicom import MAKER, Identity, local
from backend.her2.classes import CLASS_NAMES
from backend.kit.product import RESEARCH_USE_ONLY
from models.her2.cells import Cells
from models.her2.classes import CLASSES

Bool = npt.NDArray[np.bool_]
MOST_POLYGONS = 200_000
"""More cells are written as points: a polygon takes 130 bytes, a point 8."""
MEASURES = {
    "completeness": "Stained share of the membrane",
    "unshared": "Stained share of the cell's own membrane",
    "intensity": "Membrane DAB optical density, log10",
}
"""Column of Cells: what it is called. All without a unit."""


def annotations(
    cells: Cells, included: Bool, source: Dataset, identity: Identity
) -> MicroscopyBulkSimpleAnnotations | None:
    """Return the object, or None where no cell is: it can't be without one. included: bool (n,)."""
    groups = list(groups_of(cells, included, identity))
    if not groups:
        return None
    return MicroscopyBulkSimpleAnnotations(
        source_images=[source],
        annotation_coordinate_type=AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=groups,
        content_label="HER2_CELLS",
        content_description=RESEARCH_USE_ONLY,
        **identity.ids,
        **MAKER,
    )


def groups_of(cells: Cells, included: Bool, identity: Identity) -> Iterator[AnnotationGroup]:
    algorithm = hd.AlgorithmIdentificationSequence(
        name="Membrana HER2 cells", family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    polygons = int(included.sum()) <= MOST_POLYGONS
    number = 0
    for label, name in enumerate(CLASSES):
        which = np.flatnonzero(included & (cells.label == label))
        if not len(which):
            continue
        number += 1
        points = np.stack([cells.x, cells.y], axis=1)[which, None].astype(np.float32)
        yield AnnotationGroup(
            number=number,
            uid=identity.uid(f"group {name}"),
            label=f"{name} {CLASS_NAMES[name]}",
            annotated_property_category=codes.SCT.AnatomicalStructure,
            annotated_property_type=codes.SCT.Cell,
            graphic_type=GraphicTypeValues.POLYGON if polygons else GraphicTypeValues.POINT,
            graphic_data=list(cells.membrane[which] if polygons else points),
            algorithm_type=AnnotationGroupGenerationTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            measurements=[
                Measurements(
                    name=local(column, description),
                    values=getattr(cells, column)[which].astype(np.float32),
                    unit=codes.UCUM.NoUnits,
                )
                for column, description in MEASURES.items()
            ],
            description=RESEARCH_USE_ONLY,
        )
