"""What an export is made of: people's newest masks of a slide, and where there is none, if wished,
what a model version proposes.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
from sqlalchemy.orm import Session

from backend import __version__
from backend.kit.db.session import Database
from backend.kit.errors import Conflict
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.pyramids import Channel
from backend.learning.annotations import masks, newest_masks
from backend.learning.annotations.masks import Mask
from backend.learning.annotations.newest_masks import NewestMask
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.predictions import results
from backend.learning.predictions import service as predictions
from backend.learning.predictions.patch_layers import proposal_of
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import service as patches
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.images import png


class NothingToExport(Conflict):
    code, title = "nothing_to_export", "This slide has no masks"


@dataclass(frozen=True)
class ProposedMask:
    """A patch that a model version has seen. x0, y0, size0: its box in level-0 px."""

    patch_id: str
    row: int
    column: int
    x0: float
    y0: float
    size0: float
    model_version_id: str


MaskRecord = NewestMask | ProposedMask


@dataclass(frozen=True)
class Item:
    """A patch and how its mask is read: a person's PNG as it is kept, or a model's pixels."""

    record: MaskRecord
    read: Callable[[], bytes | Mask]

    def png(self) -> bytes:
        content = self.read()
        if isinstance(content, bytes):
            return content if self.complete else masks.encode(self.mask())
        return png(content)

    def mask(self) -> Mask:
        """Return uint8 (256, 256) of 0, 127 (ignore), 255.

        What nobody has looked at is to be ignored: no reader of an export takes it for background.
        """
        content = self.read()
        if not isinstance(content, bytes):
            return content
        mask = masks.decode_stored(content)
        return np.where(mask == masks.UNSEEN, np.uint8(masks.IGNORE), mask)

    @property
    def complete(self) -> bool:
        """False of a person's mask that is painted only in part."""
        return not isinstance(self.record, NewestMask) or self.record.complete

    @property
    def by_person(self) -> bool:
        return isinstance(self.record, NewestMask)

    @property
    def name(self) -> str:
        """A file's name, without its ending: the patch's place on the grid."""
        return f"r{self.record.row:05d}_c{self.record.column:05d}"


@dataclass(frozen=True)
class Contents:
    """A slide's masks as of now. prediction, version: whose proposals are in it too, if any are.

    `basis` names all that the masks follow from: equal ones, equal exports. `computed_by`: what
    computed the prediction, in which precision.
    """

    slide: Slide
    prediction: Prediction | None
    version: ModelVersion | None
    basis: str
    computed_by: Sequence[str] = ()

    def items(
        self,
        database: Database,
        blobs: Blobs,
        settings: Settings,
        *,
        complete_only: bool = False,
    ) -> Iterator[Item]:
        """Yield the patches in the grid's order; their rows are read by pages.

        complete_only: without masks that are painted only in part, as if nobody had drawn them.
        """
        if self.prediction is None:
            proposed: Iterator[ProposedMask] = iter(())
        else:
            proposed = proposals(database, self.prediction)
        last = None
        merged: Iterator[MaskRecord] = heapq.merge(
            newest_masks.of_slide(database, self.slide.id), proposed, key=place_of
        )
        for record in merged:
            # of two at one place the person's comes first, and counts
            if isinstance(record, NewestMask) and not record.complete and complete_only:
                continue
            if place_of(record) != last:
                last = place_of(record)
                yield Item(record, self._reader(record, blobs, settings))

    def _reader(
        self, record: MaskRecord, blobs: Blobs, settings: Settings
    ) -> Callable[[], bytes | Mask]:
        if isinstance(record, NewestMask):
            return partial(blobs.read, record.mask_sha256)

        def of_model() -> Mask:
            assert self.prediction is not None
            pyramid = predictions.pyramid_of(self.slide, self.prediction, settings)
            x, y = record.column * PATCH_PX, record.row * PATCH_PX
            channels = pyramid.read(0, x, y, (PATCH_PX, PATCH_PX), [Channel.PROBABILITY])
            return proposal_of(channels[0])

        return of_model


def place_of(record: MaskRecord) -> tuple[int, int]:
    return record.row, record.column


def of_slide(session: Session, slide_id: str, *, with_proposals: bool) -> Contents:
    """Return what there is to export of a slide; raise NothingToExport."""
    slide, _, _ = slides.visible(session, slide_id)
    prediction = predictions.shown(session, slide_id) if with_proposals else None
    version = model_versions.get(session, prediction.model_version_id) if prediction else None
    if not patches.is_annotated(session, slide_id) and prediction is None:
        raise NothingToExport(
            "Nobody has annotated a patch of this slide yet"
            + (", and no model version has seen it." if with_proposals else ".")
        )
    computed_by: list[str] = []
    facts = [__version__, slide.sha256, newest_masks.state_of(session, slide_id)]
    if prediction is not None:
        # while a prediction goes on, its shards tell what is there
        content = prediction.sha256 or str(predictions.shard_count(session, prediction.id))
        facts += [prediction.model_version_id, content]
        computed_by = predictions.computed_by(session, prediction.id)
    basis = sha256(" ".join(facts).encode()).hexdigest()
    return Contents(slide, prediction, version, basis, computed_by)


def proposals(database: Database, prediction: Prediction) -> Iterator[ProposedMask]:
    """Yield the patches that a model version has seen."""
    version = prediction.model_version_id
    for row in results.seen_patches(database, prediction.id):
        yield ProposedMask(**row, model_version_id=version)
