"""Edits: what a person painted across tiles becomes a revision of each, of all or of none.

The rules of a tile are those of one mask that is saved (service.py); what is added here is that
they hold for all at once, and that a mask may be painted only in part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from backend.kit.conditional import revision_etag
from backend.kit.errors import PreconditionFailed
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import effort, masks, service, tiles
from backend.learning.annotations.masks import Mask, MaskInvalid
from backend.learning.annotations.service import Draft, Prepared, Written
from backend.learning.annotations.tables import Source
from backend.learning.annotations.tiles import Place, TileInvalid
from backend.learning.predictions.service import require_measured
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch

MOST_TILES = 64
"""Of one edit: a stroke across a screen at low power touches about forty."""


class EditStale(PreconditionFailed):
    code = "stale"


@dataclass(frozen=True)
class TileEdit:
    """What a person makes of one tile, whose corner lies at (x, y), level-0 px.

    mask: its whole mask, 63 where nobody has looked; or diff: 191 where it stays as it was.
    """

    x: float
    y: float
    base_revision: int
    mask: Mask | None = None
    diff: Mask | None = None


@dataclass(frozen=True)
class Edit:
    tiles: Sequence[TileEdit]
    source: Source
    seconds_spent: float | None
    model_version_id: str | None = None


@dataclass(frozen=True)
class PreparedEdit:
    """Tiles whose masks are blobs, by their places on the grid."""

    slide: Slide
    seconds_spent: float | None
    patches: dict[Place, Patch]
    masks: dict[Place, Prepared]


@dataclass(frozen=True)
class WrittenTile:
    patch: Patch
    written: Written


def prepare(
    session: Session, blobs: Blobs, settings: Settings, slide_id: str, edit: Edit
) -> PreparedEdit:
    """Do all that needs a disk, in a session that reads: masks put together, compared, stored.

    Raise TileInvalid for tiles that are none, EditStale for a base that is not there.
    """
    slide = slides.get(session, slide_id)
    require_measured(slide)
    effort.check(edit.seconds_spent, since=slide.created_at)
    wanted = by_place(slide, edit, settings)
    there = tiles.at(session, slide, wanted, settings)
    ahead = [each for each, tile in wanted.items() if tile.base_revision > there[each].revision]
    if ahead:
        raise stale(session, [there[each] for each in ahead])
    before = {
        each: service.mask_at(session, blobs, there[each].id, tile.base_revision)
        for each, tile in wanted.items()
    }
    after = {each: after_of(before[each], wanted[each]) for each in wanted}
    seconds = shared(
        edit.seconds_spent, [int((before[each] != after[each]).sum()) for each in wanted]
    )
    prepared = {}
    for (place, tile), spent in zip(wanted.items(), seconds, strict=True):
        draft = Draft(
            after[place],
            tile.base_revision,
            edit.source,
            spent,
            model_version_id=edit.model_version_id,
        )
        prepared[place] = service.prepare_mask(session, blobs, settings, there[place], draft)
    return PreparedEdit(slide, edit.seconds_spent, there, prepared)


def by_place(slide: Slide, edit: Edit, settings: Settings) -> dict[Place, TileEdit]:
    """Return the tiles in the grid's order; raise TileInvalid."""
    placed: dict[Place, TileEdit] = {}
    for tile in edit.tiles:
        place = tiles.place_of(slide, tile.x, tile.y, settings)
        if place in placed:
            raise TileInvalid(
                f"The tile at x {tile.x:g}, y {tile.y:g} is in this edit twice; send it once, with "
                "all that changes in it.",
                code="tile_twice",
            )
        placed[place] = tile
    return dict(sorted(placed.items()))


def after_of(base: Mask, tile: TileEdit) -> Mask:
    if tile.mask is not None:
        return tile.mask
    if tile.diff is None:
        raise MaskInvalid("A tile needs its mask or what is to be changed of it.")
    return masks.changed_by(base, tile.diff)


def shared(seconds: float | None, changed_px: Sequence[int]) -> list[float | None]:
    """Return each tile's part of the time: as many seconds as all, by the pixels that changed."""
    if seconds is None:
        return [None] * len(changed_px)
    pixels = np.array(changed_px, np.float64)
    parts = pixels / pixels.sum() if pixels.any() else np.full(len(pixels), 1 / len(pixels))
    return [float(each) for each in seconds * parts]


def submit(
    session: Session, settings: Settings, prepared: PreparedEdit, *, by: User
) -> list[WrittenTile]:
    """Write the next revision of every tile in this transaction, in the grid's order.

    A repeated request returns what the first one wrote. Raise EditStale if any tile is at another
    revision now: then nothing is written.
    """
    held = tiles.hold(session, prepared.patches)
    repeated = {
        place: service.same_again(session, held[place], mask, by)
        for place, mask in prepared.masks.items()
    }
    if all(repeated.values()):
        return [
            WrittenTile(held[place], Written(annotation, new=False))
            for place, annotation in repeated.items()
            if annotation is not None
        ]
    moved = [
        held[place]
        for place, mask in prepared.masks.items()
        if held[place].revision != mask.draft.base_revision
    ]
    if moved:
        raise stale(session, moved)
    slide = slides.get(session, prepared.slide.id)
    written = [
        write(session, settings, held[place], slide, mask, by)
        for place, mask in prepared.masks.items()
    ]
    made = sum(patch.id is None for patch in prepared.patches.values())
    if made:
        slides.count_patches(session, slide.id, made)
    return written


def write(
    session: Session, settings: Settings, patch: Patch, slide: Slide, mask: Prepared, by: User
) -> WrittenTile:
    """Write one tile; what refuses it names it."""
    try:
        written = service.write_next(session, settings, patch, slide, mask, by=by, goes_on=True)
    except (service.NotAnnotatable, service.PatchUnreadable) as error:
        error.extra["tiles"] = [tile_of(session, patch)]
        raise
    return WrittenTile(patch, written)


def stale(session: Session, moved: Sequence[Patch]) -> EditStale:
    """Return the error that lists the tiles that are at another revision, and what is there."""
    return EditStale(
        f"{len(moved)} of the tiles {'is' if len(moved) == 1 else 'are'} at another revision now. "
        "Nothing of this edit was saved; look at the newer masks, then send it again.",
        tiles=[tile_of(session, patch) for patch in moved],
    )


def tile_of(session: Session, patch: Patch) -> dict[str, Any]:
    return {
        "x": patch.x0,
        "y": patch.y0,
        "patch_id": patch.id,
        "etag": revision_etag(patch.revision),
        **service.present(session, patch),
    }
