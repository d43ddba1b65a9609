"""Rows to arrays: the one file where SQL meets what models learn from.

Everything is ordered by slide content and place on the grid, never by id or time, so that a
round that is run again, here or on another installation, learns from the same bytes.
"""

import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Protocol, TypeVarTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from backend.kit.db.session import Database
from backend.kit.errors import MembranaError
from backend.kit.storage.blobs import Blobs
from backend.learning.rounds.snapshot import SnapshotPatch
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide, SlideState, Split
from backend.slides.patches.grid import PATCH_PX, patch_region
from backend.slides.patches.tables import Patch
from backend.slides.reading.reader import (
    RegionUnreadable,
    SlideUnreadable,
    open_slide,
    read_patches,
)

log = logging.getLogger(__name__)
Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.uint8]
Columns = TypeVarTuple("Columns")
UNSEEN, IGNORE = 63, 127
MASK_VALUES = (0, UNSEEN, IGNORE, 255)
Check = Callable[[], None]
"""Raises when the work should end; called between two slides."""


class SlideGone(MembranaError):
    status, code, title = 409, "slide_gone", "A slide was deleted meanwhile"


class MaskUnreadable(MembranaError):
    status, code, title = 500, "mask_unreadable", "A stored mask can't be read"


class Placed(Protocol):
    """Anything with a place on a slide's analysis grid."""

    @property
    def slide_sha256(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True)
class Place:
    """A patch by content: the same on every installation that holds the slide."""

    slide_sha256: str
    row: int
    column: int


@dataclass(frozen=True)
class Labelled:
    """Patches with people's masks. `groups` names each one's slide by its sha256.

    images: uint8 (N, 256, 256, 3); masks: uint8 (N, 256, 256) of 0, 127 (ignore), 255.
    """

    images: Images
    masks: Masks
    groups: tuple[str, ...]


def read_labelled(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    patches: Sequence[SnapshotPatch],
    check: Check,
) -> Labelled:
    """Read the snapshot's patches in the snapshot's order. A damaged one is an error here."""
    images = np.empty((len(patches), PATCH_PX, PATCH_PX, 3), np.uint8)
    done = 0
    for pixels in slide_by_slide(database, settings, patches, check):
        images[done : done + len(pixels)] = pixels
        done += len(pixels)
    masks = [read_mask(blobs, patch.mask_sha256) for patch in patches]
    return Labelled(
        images,
        np.stack(masks) if masks else np.empty((0, PATCH_PX, PATCH_PX), np.uint8),
        tuple(patch.slide_sha256 for patch in patches),
    )


def read_mask(blobs: Blobs, sha256: str) -> Masks:
    """Read a stored mask as uint8 (256, 256) of 0, 127 and 255.

    What nobody has looked at (63) is ignored: neither learned from, nor judged, nor measured.
    """
    try:
        mask = np.asarray(Image.open(io.BytesIO(blobs.read(sha256))), np.uint8)
    except OSError as error:
        raise MaskUnreadable(f"The mask {sha256[:12]}… is damaged: {error}.") from error
    if mask.shape != (PATCH_PX, PATCH_PX) or not np.isin(mask, MASK_VALUES).all():
        raise MaskUnreadable(
            f"The mask {sha256[:12]}… is not {PATCH_PX}×{PATCH_PX} of the values {MASK_VALUES}."
        )
    return np.where(mask == UNSEEN, np.uint8(IGNORE), mask)


def read_unlabelled(
    database: Database, settings: Settings, places: Sequence[Placed], check: Check
) -> Images:
    """Read patches without masks, uint8 (N, 256, 256, 3).

    Damaged ones are left out, and those of slides that were deleted since they were drawn: nobody
    worked on them, and others teach as much.
    """
    parts = list(slide_by_slide(database, settings, places, check, leave_out_lost=True))
    if not parts:
        return np.empty((0, PATCH_PX, PATCH_PX, 3), np.uint8)
    return np.concatenate(parts)


def slide_by_slide(
    database: Database,
    settings: Settings,
    places: Sequence[Placed],
    check: Check,
    *,
    leave_out_lost: bool = False,
) -> Iterator[Images]:
    """Yield the pixels of places that are ordered by slide, one array a slide.

    No transaction is open while pixels are read.
    """
    for sha256, group in groupby(places, key=lambda place: place.slide_sha256):
        check()
        with database.reading() as session:
            slide = session.scalar(select(Slide).where(Slide.sha256 == sha256))
        if slide is None:
            if leave_out_lost:
                log.warning("slide %s was deleted; its unlabelled patches are left out", sha256)
                continue
            raise SlideGone(
                f"The slide {sha256[:12]}…, on which people drew masks of this round's snapshot, "
                "was deleted. Start a round anew: it takes the masks that are there now."
            )
        try:
            reader = open_slide(slide, settings)
        except SlideUnreadable:
            if leave_out_lost:
                log.warning("slide %s can't be opened; its patches are left out", sha256)
                continue
            raise
        try:
            regions = [
                patch_region(slide, place.row, place.column, settings.analysis_mpp)
                for place in group
            ]
            if not leave_out_lost:
                yield read_patches(reader, regions, PATCH_PX)
                continue
            readable = []
            for region in regions:
                try:
                    readable.append(read_patches(reader, [region], PATCH_PX))
                except RegionUnreadable:
                    continue
            if readable:
                yield np.concatenate(readable)
        finally:
            reader.close()


def choose_unlabelled(session: Session, *, count: int, seed: int) -> list[Place]:
    """Draw patches that nobody annotated, from slides that are not held out.

    Every such patch is as likely as any other; equal seeds and slides give equal draws.
    """
    rows = session.execute(
        available(select(Slide.sha256, func.count())).group_by(Slide.sha256).order_by(Slide.sha256)
    ).all()
    ends = np.cumsum([number for _, number in rows], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    numbers = np.sort(
        np.random.default_rng(seed).choice(total, size=min(count, total), replace=False)
    )
    places = []
    for (sha256, number), end in zip(rows, ends, strict=True):
        inside = numbers[(numbers >= end - number) & (numbers < end)] - (end - number)
        if not len(inside):
            continue
        grid = session.execute(
            available(select(Patch.row, Patch.column))
            .where(Slide.sha256 == sha256)
            .order_by(Patch.row, Patch.column)
        ).all()
        # on PostgreSQL a patch may have been annotated since they were counted: it is not drawn
        places += [Place(sha256, *grid[index]) for index in inside if index < len(grid)]
    return places


def available(statement: Select[*Columns]) -> Select[*Columns]:
    """Narrow a statement to patches that may be learned from without a mask."""
    return (
        statement.select_from(Patch)
        .join(Slide, Patch.slide_id == Slide.id)
        .where(
            Slide.state == SlideState.READY,
            or_(Slide.split.is_(None), Slide.split != Split.GOLD),
            Patch.role.is_(None),
            Patch.revision == 0,
            Patch.problem.is_(None),
        )
    )


def places_document(places: Sequence[Place]) -> bytes:
    """Return a draw as canonical JSON, to be kept with the round."""
    return json.dumps([asdict(place) for place in places], sort_keys=True).encode()


def places_from(document: bytes) -> list[Place]:
    return [Place(**place) for place in json.loads(document)]
