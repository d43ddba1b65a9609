"""The membrane mask of the scored area as a DICOM Segmentation: binary, sparse tiles.

Its pixels are the analysis', larger than the slide's, so it has a pixel matrix of its own over the
same place: its first pixel's corner is that of the slide's first pixel.
"""

from collections.abc import Iterator
from math import ceil

import highdicom as hd
import numpy as np
import numpy.typing as npt
import shapely
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from backend.exchange.reports.dicom import MAKER, Identity, local
from backend.kit.product import RESEARCH_USE_ONLY
from models.her2.pixels import ANALYSIS_MPP, Masks, Pixels, Regions

Mask = npt.NDArray[np.uint8]
TILE = 256
MOST_TILES = 4096
"""Tiles with membrane: 32 MiB, about 17 mm² at a quarter of a micrometre."""


def segmentation(
    slide: Pixels,
    masks: Masks,
    regions: Regions,
    source: Dataset,
    identity: Identity,
    *,
    model: str | None,
    weights_sha256: str | None,
) -> Segmentation | None:
    """Return the object; None where there is no membrane, or more than MOST_TILES tiles of it.

    model, weights_sha256: whose proposals the masks began with; None: people drew all of them.
    """
    places, tiles = [], []
    for place, tile in tiles_of(slide, masks, regions):
        places.append(place)
        tiles.append(tile)
        if len(tiles) > MOST_TILES:
            return None
    if not tiles:
        return None
    grid = Grid(source, ANALYSIS_MPP / slide.mpp)
    dataset = Segmentation(
        source_images=[source],
        pixel_array=np.stack(tiles),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[membrane(model, weights_sha256)],
        pixel_measures=grid.measures,
        plane_positions=[grid.position(*place) for place in places],
        dimension_organization_type="TILED_SPARSE",
        content_label="HER2_MEMBRANE",
        content_description=RESEARCH_USE_ONLY,
        **identity.ids,
        **MAKER,
    )
    # the constructor takes the tiles for all there is: they are a part of this matrix
    dataset.TotalPixelMatrixOriginSequence = [grid.origin()]
    dataset.TotalPixelMatrixColumns = ceil(slide.width / grid.step)
    dataset.TotalPixelMatrixRows = ceil(slide.height / grid.step)
    return dataset


def membrane(model: str | None, weights_sha256: str | None) -> SegmentDescription:
    """Describe the one segment, and what drew it."""
    algorithm = model and hd.AlgorithmIdentificationSequence(
        name=model, family=codes.DCM.ArtificialIntelligence, version=str(weights_sha256)
    )
    kinds = SegmentAlgorithmTypeValues
    return SegmentDescription(
        segment_number=1,
        segment_label="Membrane",
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=local("membrane", "Stained cell membrane"),
        algorithm_type=kinds.SEMIAUTOMATIC if algorithm else kinds.MANUAL,
        algorithm_identification=algorithm or None,
    )


def tiles_of(
    slide: Pixels, masks: Masks, regions: Regions
) -> Iterator[tuple[tuple[int, int], Mask]]:
    """Yield tiles of the mask that hold membrane in the regions, as (column, row) px and pixels.

    Columns and rows count from 0 in px of ANALYSIS_MPP; each tile is uint8 (TILE, TILE), 0 or 1.
    """
    if regions.empty:
        return
    step = ANALYSIS_MPP / slide.mpp
    left, top, right, bottom = (each / step for each in shapely.bounds(regions.tumour))
    centres = (np.arange(TILE) + 0.5) * step
    for row in range(int(top) // TILE * TILE, ceil(bottom), TILE):
        for column in range(int(left) // TILE * TILE, ceil(right), TILE):
            box = (column * step, row * step, (column + TILE) * step, (row + TILE) * step)
            if not regions.touches(box):
                continue
            membrane, _ = masks.read(column, row, TILE, TILE)
            if not membrane.any():
                continue
            if not regions.tumour.covers(shapely.box(*box)):
                y, x = (each.ravel() for each in np.meshgrid(centres, centres, indexing="ij"))
                membrane &= regions.holds(x + box[0], y + box[1]).reshape(TILE, TILE)
            if membrane.any():
                yield (column, row), membrane.astype(np.uint8)


class Grid:
    """Where px of the mask lie on the glass. `step`: level-0 px to a px of the mask."""

    def __init__(self, source: Dataset, step: float) -> None:
        measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        # mm: between rows, then between columns
        fine = np.array([float(each) for each in measures.PixelSpacing])
        self.step = step
        self.measures = hd.PixelMeasuresSequence(
            pixel_spacing=(fine * step).tolist(),
            slice_thickness=float(measures.get("SliceThickness") or 0.001),
        )
        along = np.array([float(each) for each in source.ImageOrientationSlide])
        self._column, self._row = along[:3] * fine[1] * step, along[3:] * fine[0] * step
        first = source.TotalPixelMatrixOriginSequence[0]
        origin = np.array(
            [
                float(first.XOffsetInSlideCoordinateSystem),
                float(first.YOffsetInSlideCoordinateSystem),
                float(first.get("ZOffsetInSlideCoordinateSystem") or 0),
            ]
        )
        # places are of a px's centre, and a larger px's lies further in
        self._first = origin + (self._column + self._row) * (1 - 1 / step) / 2

    def place(self, column: int, row: int) -> npt.NDArray[np.float64]:
        """Centre of a px on the glass, mm (3,)."""
        centre: npt.NDArray[np.float64] = self._first + column * self._column + row * self._row
        return centre

    def position(self, column: int, row: int) -> hd.PlanePositionSequence:
        return hd.PlanePositionSequence(
            coordinate_system=hd.CoordinateSystemNames.SLIDE,
            image_position=self.place(column, row).tolist(),
            # counted from 1
            pixel_matrix_position=(column + 1, row + 1),
        )

    def origin(self) -> Dataset:
        place = self.place(0, 0)
        item = Dataset()
        item.XOffsetInSlideCoordinateSystem = round(float(place[0]), 8)
        item.YOffsetInSlideCoordinateSystem = round(float(place[1]), 8)
        item.ZOffsetInSlideCoordinateSystem = round(float(place[2]), 8)
        return item
