"""A slide's masks as one DICOM Segmentation."""

from contextlib import closing
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely

from backend.exchange.masks.contents import Contents, MaskRecord
from backend.exchange.masks.formats import dicom_seg
from backend.kit.errors import Conflict
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.pyramids import Pyramid
from backend.learning.annotations.newest_masks import NewestMask
from backend.learning.predictions import service as predictions
from backend.slides.reading.reader import open_slide
from models.her2.pixels import Regions
from worker.context import JobContext
from worker.data import read_mask
from worker.exporters.exporter import MaskFile
from worker.her2.slide import KEPT_MASKS, MEMBRANE, SlideMasks, SlidePixels


class NoSegmentation(Conflict):
    code, title = "no_segmentation", "There is no DICOM Segmentation of these masks"


class DecidedMasks(SlideMasks):
    """People's masks over a prediction, which does not show through where they said to ignore."""

    def __init__(
        self,
        pyramid: Pyramid | None,
        drawn: dict[tuple[int, int], str],
        blobs: Blobs,
        analysis_mpp: float,
    ) -> None:
        super().__init__(pyramid, drawn, blobs, analysis_mpp)
        self._read = lru_cache(KEPT_MASKS)(lambda sha256: decided(read_mask(blobs, sha256)))


def decided(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.where(mask == MEMBRANE, mask, np.uint8(0))


def write(context: JobContext, contents: Contents) -> bytes:
    """Return the object's bytes: equal masks, equal bytes. Raise NoSegmentation, DicomIncomplete.

    Holds the rows of all patches, and the tiles with membrane: at most MOST_TILES of them.
    """
    from backend.exchange.reports.dicom import Identity, serialized, source_of
    from worker.exporters.masks_dicom import MOST_TILES, segmentation

    slide, settings, blobs = contents.slide, context.settings, context.blobs
    source = source_of(
        settings.slide_folder / slide.sha256, width=slide.width or 0, height=slide.height or 0
    )
    # a binary segment can't say that nobody has looked: such a patch is not in it
    items = contents.items(context.database, blobs, settings, complete_only=True)
    patches = [item.record for item in items]
    drawn = [each for each in patches if isinstance(each, NewestMask)]
    pyramid = None
    if contents.prediction is not None:
        pyramid = predictions.pyramid_of(slide, contents.prediction, settings)
    by_place = {(each.row, each.column): each.mask_sha256 for each in drawn}
    identity = Identity(slide.id, f"masks {contents.basis}")
    version = contents.version
    with closing(open_slide(slide, settings)) as reader:
        segments = segmentation(
            SlidePixels(reader, slide),
            DecidedMasks(pyramid, by_place, blobs, settings.analysis_mpp),
            Regions.of([box_of(each) for each in patches]),
            source,
            identity,
            model=version.name if version else None,
            weights_sha256=str(version.weights_sha256) if version else None,
        )
    if segments is None:
        raise NoSegmentation(
            f"The masks hold no membrane, or more than {MOST_TILES} tiles of it: take png, coco or "
            "ome-zarr, which have no such limit."
        )
    newest = max((each.created_at for each in drawn), default=slide.created_at)
    return serialized(segments, identity, newest)


def box_of(patch: MaskRecord) -> shapely.Polygon:
    return shapely.box(patch.x0, patch.y0, patch.x0 + patch.size0, patch.y0 + patch.size0)


FILE = MaskFile(dicom_seg.FORMAT.name, write)
