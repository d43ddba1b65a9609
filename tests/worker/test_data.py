"""What a round learns from: the right pixels, in an order that only content decides."""

import numpy as np
import pytest
from sqlalchemy import delete, select, update

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.rounds.snapshot import Snapshot, take
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide, Split
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import Patch, PatchRole
from models.phantom import region
from tests.support.learning import SIDE, add_slide, annotate, annotate_some, png, spec_of, truth
from worker.data import (
    MaskUnreadable,
    SlideGone,
    choose_unlabelled,
    places_document,
    places_from,
    read_labelled,
    read_mask,
    read_unlabelled,
)

PATCHES = (SIDE // PATCH_PX) ** 2


def keep_on() -> None:
    """Nothing asks the work to stop."""


def snapshot_of(database: Database) -> Snapshot:
    with database.reading() as session:
        return take(session)


def draw(database: Database, count: int = 6, seed: int = 0) -> list[object]:
    with database.reading() as session:
        return list(choose_unlabelled(session, count=count, seed=seed))


def test_masks_and_pixels_are_those_of_the_patch(database: Database, settings: Settings) -> None:
    for seed in (1, 2):
        annotate_some(database, settings, add_slide(database, settings, seed), seed, 3, 1)
    patches = snapshot_of(database).patches
    seed_of = {each.slide_sha256: 0 for each in patches}
    with database.reading() as session:
        for slide in session.scalars(select(Slide)):
            seed_of[slide.sha256] = int(slide.name.split("-")[1].split(".")[0])

    labelled = read_labelled(database, Blobs(settings.blob_folder), settings, patches, keep_on)

    assert labelled.images.shape == (8, PATCH_PX, PATCH_PX, 3)
    assert labelled.groups == tuple(each.slide_sha256 for each in patches)
    for index, patch in enumerate(patches):
        seed = seed_of[patch.slide_sha256]
        x0, y0 = patch.column * PATCH_PX, patch.row * PATCH_PX
        np.testing.assert_array_equal(labelled.masks[index], truth(seed, patch.row, patch.column))
        drawn = region(spec_of(seed), x0, y0, PATCH_PX, PATCH_PX, jpeg=False).image
        # the file is JPEG: near, and far nearer than any other patch
        assert np.abs(labelled.images[index].astype(int) - drawn).mean() < 6


def test_a_snapshot_holds_the_newest_mask_of_each_patch(
    database: Database, settings: Settings
) -> None:
    slide_id = add_slide(database, settings, 1)
    empty = np.zeros((PATCH_PX, PATCH_PX), np.uint8)
    annotate(database, settings, slide_id, (0, 0), PatchRole.TRAINING, truth(1, 0, 0))
    newest = annotate(database, settings, slide_id, (0, 0), PatchRole.TRAINING, empty)
    [patch] = snapshot_of(database).patches
    assert patch.annotation_id == newest
    assert not read_mask(Blobs(settings.blob_folder), patch.mask_sha256).any()


def test_a_snapshot_survives_its_document(database: Database, settings: Settings) -> None:
    annotate_some(database, settings, add_slide(database, settings, 1), 1, 2, 1)
    snapshot = snapshot_of(database)
    again = Snapshot.from_document(snapshot.document())
    assert again == snapshot
    assert again.sha256 == snapshot.sha256


def test_the_draw_leaves_out_what_people_hold(database: Database, settings: Settings) -> None:
    mixed = add_slide(database, settings, 1, Split.MIXED)
    add_slide(database, settings, 2, Split.GOLD)
    annotate_some(database, settings, mixed, 1, 3, 2)
    with database.writing() as session:
        broken = session.scalars(select(Patch).where(Patch.row == 3, Patch.slide_id == mixed))
        broken.first().problem = {"code": "region_unreadable"}  # type: ignore[union-attr]
    places = draw(database, count=100)
    with database.reading() as session:
        sha256 = session.get_one(Slide, mixed).sha256
    assert len(places) == PATCHES - 3 - 2 - 1
    assert {place.slide_sha256 for place in places} == {sha256}
    assert not {(place.row, place.column) for place in places} & {(0, 0), (0, 3), (1, 0)}


def test_equal_slides_and_seeds_give_equal_draws(database: Database, settings: Settings) -> None:
    for seed in (1, 2):
        add_slide(database, settings, seed)
    first, other = draw(database), draw(database, seed=1)
    assert len(first) == 6
    assert first != other
    # the same slides, uploaded in the other order: other ids, other times
    with database.writing() as session:
        session.execute(delete(Patch))
        session.execute(delete(Slide))
    for seed in (2, 1):
        add_slide(database, settings, seed)
    assert draw(database) == first
    assert places_from(places_document(first)) == first


def test_unlabelled_pixels_are_those_of_the_places(database: Database, settings: Settings) -> None:
    add_slide(database, settings, 1)
    places = draw(database, count=3)
    images = read_unlabelled(database, settings, places, keep_on)
    assert images.shape == (3, PATCH_PX, PATCH_PX, 3)
    for place, image in zip(places, images, strict=True):
        box = (place.column * PATCH_PX, place.row * PATCH_PX, PATCH_PX, PATCH_PX)
        assert np.abs(image.astype(int) - region(spec_of(1), *box).image).mean() < 6


def test_nothing_to_draw_from_is_no_error(database: Database, settings: Settings) -> None:
    assert draw(database) == []
    assert read_unlabelled(database, settings, [], keep_on).shape == (0, PATCH_PX, PATCH_PX, 3)


def test_of_a_deleted_slide_the_unlabelled_are_left_out_and_the_masks_are_an_error(
    database: Database, settings: Settings
) -> None:
    """A slide that nobody annotated can be deleted at any time: no round ends of it."""
    kept, gone = (add_slide(database, settings, seed) for seed in (1, 2))
    annotate_some(database, settings, gone, 2, 2, 1)
    masks = snapshot_of(database).patches
    places = draw(database, count=20)
    of = {place.slide_sha256 for place in places}
    assert len(of) == 2
    with database.writing() as session:
        sha256 = session.get_one(Slide, kept).sha256
        # masks go with their slide only: the database holds them
        session.execute(delete(Slide).where(Slide.id == gone))
    images = read_unlabelled(database, settings, places, keep_on)
    assert len(images) == sum(place.slide_sha256 == sha256 for place in places)
    assert 0 < len(images) < len(places)
    with pytest.raises(SlideGone, match="drew masks"):
        read_labelled(database, Blobs(settings.blob_folder), settings, masks, keep_on)


def test_unlabelled_patches_whose_file_is_gone_are_left_out(
    database: Database, settings: Settings
) -> None:
    """A deletion takes the file in the moment between its row's reading and the file's."""
    slide_id = add_slide(database, settings, 1)
    places = draw(database, count=3)
    with database.reading() as session:
        Blobs(settings.blob_folder).delete(session.get_one(Slide, slide_id).sha256)
    assert len(read_unlabelled(database, settings, places, keep_on)) == 0


def test_the_word_to_stop_is_heard_between_slides(database: Database, settings: Settings) -> None:
    add_slide(database, settings, 1)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        read_unlabelled(database, settings, draw(database), stop)


@pytest.mark.parametrize(
    "content",
    [b"no image", png(np.zeros((10, 10), np.uint8)), png(np.full((256, 256), 3, np.uint8))],
    ids=["garbage", "size", "values"],
)
def test_a_mask_that_is_none_is_refused(settings: Settings, content: bytes) -> None:
    blobs = Blobs(settings.blob_folder)
    with pytest.raises(MaskUnreadable):
        read_mask(blobs, blobs.put(content))


def test_returned_masks_wait_for_their_correction(database: Database, settings: Settings) -> None:
    annotate_some(database, settings, add_slide(database, settings, 1), 1, 2, 0)
    with database.writing() as session:
        session.execute(update(Patch).where(Patch.column == 0).values(state="returned"))
    assert [each.column for each in snapshot_of(database).patches] == [1]
