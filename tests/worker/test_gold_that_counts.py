"""Which held-out masks may judge: those that people drew or changed, and not a model's own word."""

import shutil
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.learning.annotations.tables import Annotation, AnnotationProposal
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.rounds import gold_masks
from backend.learning.rounds.gold_masks import Accepted, changed, counting, lineage
from backend.settings import Settings
from backend.slides.patches.tables import Patch, PatchRole
from tests.conftest import Service
from tests.support.ready import (
    PREDICT,
    code,
    patches_of,
    pixels,
    predicted_slide,
    put,
    request,
    some_mask,
)
from tests.worker.test_predict_again import another_version

Mask = np.ndarray
TRAIN = (JobKind.TRAIN,)


def ids(service: Service, slide_id: str) -> list[str]:
    return [patch["id"] for patch in patches_of(service.client, slide_id, order="position")]


def proposal(service: Service, patch_id: str, **query: str) -> Mask:
    return pixels(service.client.get(f"/patches/{patch_id}/proposal.png", params=query)).copy()


def save(service: Service, patch_id: str, mask: Mask, role: PatchRole, **query: Any) -> str:
    """Save a mask on a patch of a role of our choice; return the annotation's id."""
    with service.database.writing() as session:
        session.get_one(Patch, patch_id).role = role
    answer = put(service.client, patch_id, mask, **query)
    answer.raise_for_status()
    return str(answer.json()["annotation"]["id"])


def figures(service: Service, annotation_id: str) -> dict[str, tuple[int, int]]:
    with service.database.reading() as session:
        rows = session.scalars(
            select(AnnotationProposal).where(AnnotationProposal.annotation_id == annotation_id)
        )
        return {row.model_version_id: (row.differing_px, row.membrane_px) for row in rows}


def active(service: Service) -> str:
    items = service.client.get("/model-versions").json()["items"]
    return next(str(each["id"]) for each in items if each["state"] == "active")


def activate(service: Service, version_id: str) -> None:
    service.client.post(f"/model-versions/{version_id}/activate").raise_for_status()


def round_of(service: Service) -> dict[str, Any]:
    """Run a round to its end."""
    started = service.client.post("/rounds").raise_for_status().json()["round"]
    service.run_jobs(TRAIN)
    ended: dict[str, Any] = service.client.get(f"/rounds/{started['id']}").json()
    assert ended["state"] != "abandoned", ended
    return ended


def edited(mask: Mask, side: int) -> Mask:
    """The mask with a square of so many pixels turned over."""
    changed_mask = mask.copy()
    changed_mask[100 : 100 + side, 100 : 100 + side] ^= 255
    return changed_mask


@pytest.fixture
def slide_id(service: Service) -> str:
    """A slide of sixteen predicted patches, of which the first two are drawn to be learned from."""
    slide_id = predicted_slide(service, width=1024, height=1024)
    for patch_id in ids(service, slide_id)[:2]:
        save(service, patch_id, some_mask(1), PatchRole.TRAINING, source="scratch")
    return slide_id


def test_accepted_untouched_judges_nothing_and_the_verdict_says_so(
    service: Service, slide_id: str
) -> None:
    cold = active(service)
    places = ids(service, slide_id)[2:]
    for patch_id in places[:4]:
        save(service, patch_id, proposal(service, patch_id), PatchRole.GOLD, source="proposal")
    for patch_id in places[4:6]:
        save(service, patch_id, some_mask(2), PatchRole.GOLD, source="edited")
    listed = service.client.get("/rounds").json()
    assert (listed["gold_counted"], listed["gold_needed"]) == (2, 3)
    ended = round_of(service)
    assert ended["state"] == "not_judged"
    assert ended["reason"].startswith(
        "Not enough to judge: 2 held-out patches count, and 3 are needed"
    )
    assert "4 masks accepted as cold-start proposed them" in ended["reason"]
    assert "stored and not used: cold-start goes on proposing" in ended["reason"]
    # two patches are never compared, not even beside the verdict
    assert ended["metrics"]["gold"] == {
        "held_out": 6,
        "needed": 3,
        "counted": 2,
        "accepted": [{"model_version": "cold-start", "patches": 4}],
        "ignored": 0,
    }
    assert (ended["gold_count"], ended["gold_counted"]) == (6, 2)
    assert active(service) == cold
    versions = service.client.get("/model-versions").json()["items"]
    assert {each["name"]: each["state"] for each in versions}["eugmt-plus-0001"] == "candidate"
    # a person may take it all the same
    activate(service, ended["model_version_id"])
    assert active(service) == ended["model_version_id"]


def test_enough_that_count_are_compared_and_the_accepted_ones_are_in_no_figure(
    service: Service, slide_id: str
) -> None:
    places = ids(service, slide_id)[2:]
    for patch_id in places[:3]:
        save(service, patch_id, proposal(service, patch_id), PatchRole.GOLD, source="proposal")
    for number, patch_id in enumerate(places[3:6]):
        save(service, patch_id, some_mask(number), PatchRole.GOLD, source="edited")
    ended = round_of(service)
    gold = ended["metrics"]["gold"]
    assert ended["state"] in {"promoted", "kept_back"}
    assert (gold["counted"], gold["held_out"]) == (3, 6)
    assert (gold["active"]["patches"], gold["candidate"]["patches"]) == (3, 3)
    assert "on 3 held-out patches" in ended["reason"]
    assert "3 masks accepted as cold-start proposed them" in ended["reason"]
    # by hand: the active model's own proposals against what was drawn on the three
    both = either = 0
    for number, patch_id in enumerate(places[3:6]):
        proposed, drawn = (
            proposal(service, patch_id, model_version=model(service, "cold-start")),
            (some_mask(number)),
        )
        seen = drawn != 127
        both += 2 * int(((proposed == 255) & (drawn == 255)).sum())
        either += int(((proposed == 255) & seen).sum() + (drawn == 255).sum())
    assert gold["active"]["dice"] == pytest.approx(both / either, abs=5e-3)


def model(service: Service, name: str) -> str:
    items = service.client.get("/model-versions").json()["items"]
    return next(str(each["id"]) for each in items if each["name"] == name)


def counted(service: Service, annotation_ids: list[str], *compared: str) -> set[str]:
    with service.database.reading() as session:
        versions = [session.get_one(ModelVersion, each) for each in compared]
        return set(counting(session, annotation_ids, versions).annotation_ids)


def test_one_pixel_is_no_change_and_a_cells_side_is(service: Service, slide_id: str) -> None:
    cold = active(service)
    places = ids(service, slide_id)[2:]
    made = {}
    for side, patch_id in zip((1, 3, 20), places, strict=False):
        mask = edited(proposal(service, patch_id), side)
        made[side] = save(service, patch_id, mask, PatchRole.GOLD, source="edited")
        [(differing, _)] = figures(service, made[side]).values()
        assert differing == side**2
    assert counted(service, list(made.values()), cold) == {made[20]}


@pytest.mark.parametrize(
    ("differing", "membrane", "counts"),
    [(0, 0, False), (15, 15, False), (16, 16, True), (49, 5000, False), (50, 5000, True)],
)
def test_a_change_is_a_share_of_the_membrane_and_never_a_few_pixels(
    differing: int, membrane: int, *, counts: bool
) -> None:
    assert changed(differing, membrane) == counts


def test_ignoring_what_was_proposed_is_no_drawing(service: Service, slide_id: str) -> None:
    """Only marking pixels `ignore` leaves the rest as the model drew it: Dice 1 by construction."""
    patch_id = ids(service, slide_id)[2]
    mask = proposal(service, patch_id)
    mask[:128] = 127
    annotation_id = save(service, patch_id, mask, PatchRole.GOLD, source="edited")
    [(differing, membrane)] = figures(service, annotation_id).values()
    assert differing == 0
    assert membrane == int((mask == 255).sum())
    assert counted(service, [annotation_id], active(service)) == set()


def test_a_patch_that_is_ignored_as_a_whole_judges_nothing(service: Service, slide_id: str) -> None:
    places = ids(service, slide_id)[2:]
    for patch_id in places[:2]:
        save(service, patch_id, some_mask(2), PatchRole.GOLD)
    save(service, places[2], np.full((256, 256), 127, np.uint8), PatchRole.GOLD)
    ended = round_of(service)
    assert ended["state"] == "not_judged"
    assert ended["metrics"]["gold"]["ignored"] == 1
    assert "Not counted: 1 mask on which every pixel is ignored." in ended["reason"]
    assert ended["metrics"]["gold"]["counted"] == 2


@pytest.mark.parametrize("claim", ["edited", "scratch", "proposal"])
def test_what_the_client_says_of_an_accepted_mask_changes_nothing(
    service: Service, slide_id: str, claim: str
) -> None:
    patch_id = ids(service, slide_id)[2]
    mask = proposal(service, patch_id)
    annotation_id = save(service, patch_id, mask, PatchRole.GOLD, source=claim)
    assert counted(service, [annotation_id], active(service)) == set()
    with service.database.reading() as session:
        annotation = session.get_one(Annotation, annotation_id)
    # nothing was edited; who says that they drew it from nothing keeps the word
    assert annotation.source == ("scratch" if claim == "scratch" else "proposal")


def test_accepted_from_the_version_that_was_shown_when_another_is_active_by_now(
    service: Service, slide_id: str
) -> None:
    """The page was opened before a round ended: what was accepted is the older model's drawing."""
    cold, other = active(service), another_version(service)
    patch_id = ids(service, slide_id)[2]
    shown = proposal(service, patch_id)
    activate(service, other)
    service.run_jobs(PREDICT)
    assert not np.array_equal(proposal(service, patch_id), shown)
    annotation_id = save(
        service, patch_id, shown, PatchRole.GOLD, source="proposal", model_version=cold
    )
    with service.database.reading() as session:
        annotation = session.get_one(Annotation, annotation_id)
    assert (annotation.source, annotation.model_version_id) == ("proposal", cold)
    assert set(figures(service, annotation_id)) == {cold, other}
    # blind to the other one, which it says nothing for
    assert counted(service, [annotation_id], other) == {annotation_id}
    assert counted(service, [annotation_id], cold) == set()
    assert counted(service, [annotation_id], other, cold) == set()
    # the same where the client says nothing, or something else
    for number, claim in enumerate(({}, {"model_version": other}), 3):
        place = ids(service, slide_id)[number]
        theirs = proposal(service, place, model_version=cold)
        again = save(service, place, theirs, PatchRole.GOLD, source="proposal", **claim)
        assert counted(service, [again], cold) == set()


def test_drawn_before_a_version_proposed_anything_is_blind_to_it(
    service: Service, slide_id: str
) -> None:
    other = another_version(service)
    patch_id = ids(service, slide_id)[2]
    request(service, slide_id, model_version_id=other)
    service.run_jobs(PREDICT)
    theirs = proposal(service, patch_id, model_version=other)
    seen = save(service, patch_id, theirs, PatchRole.GOLD, source="scratch")
    assert counted(service, [seen], other) == set()
    # the very same mask, drawn when that version had not spoken
    third = another_version(service)
    blind = save(service, ids(service, slide_id)[3], some_mask(5), PatchRole.GOLD)
    assert third not in figures(service, blind)
    assert counted(service, [blind], third) == {blind}


def test_networks_trained_on_from_a_model_are_not_judged_by_its_proposals(
    service: Service, slide_id: str
) -> None:
    cold = active(service)
    patch_id = ids(service, slide_id)[2]
    accepted = save(service, patch_id, proposal(service, patch_id), PatchRole.GOLD)
    with service.database.writing() as session:
        root = session.get_one(ModelVersion, cold)
        fresh = ModelVersion(name="fresh", kind="eugmt", parent_id=cold, config={})
        going_on = ModelVersion(
            name="going on", kind="eugmt", parent_id=cold, config={"warm_start": True}
        )
        session.add_all([fresh, going_on])
        session.flush()
        grandchild = ModelVersion(
            name="grandchild", kind="eugmt", parent_id=going_on.id, config={"warm_start": True}
        )
        session.add(grandchild)
        session.flush()
        assert [each.name for each in lineage(session, grandchild)] == [
            "grandchild",
            "going on",
            "cold-start",
        ]
        made = {each.name: each.id for each in (root, fresh, going_on, grandchild)}
    counts = {name: bool(counted(service, [accepted], one)) for name, one in made.items()}
    assert counts == {
        "cold-start": False,
        # its weights began from nothing, or from its encoder's
        "fresh": True,
        "going on": False,
        "grandchild": False,
    }
    with service.database.reading() as session:
        versions = [session.get_one(ModelVersion, made["grandchild"])]
        assert counting(session, [accepted], versions).accepted == (Accepted("cold-start", 1),)


def test_a_restored_revision_is_what_it_was(service: Service, slide_id: str) -> None:
    patch_id = ids(service, slide_id)[2]
    accepted = save(service, patch_id, proposal(service, patch_id), PatchRole.GOLD)
    put(service.client, patch_id, some_mask(3), if_match='"r1"').raise_for_status()
    # the files of what was accepted are gone meanwhile
    shutil.rmtree(service.settings.pyramid_folder)
    answer = service.client.post(
        f"/patches/{patch_id}/annotations/1/restore", headers={"If-Match": '"r2"'}
    )
    answer.raise_for_status()
    restored = answer.json()["annotation"]["id"]
    assert figures(service, restored) == figures(service, accepted)
    assert counted(service, [restored], active(service)) == set()


def test_an_unknown_version_is_refused_and_one_that_said_nothing_here_is_not_believed(
    service: Service, slide_id: str
) -> None:
    patch_id = ids(service, slide_id)[2]
    answer = put(service.client, patch_id, some_mask(), model_version="none")
    assert code(answer) == (404, "model_version_not_found")
    silent = another_version(service)
    answer = put(service.client, patch_id, some_mask(), model_version=silent)
    answer.raise_for_status()
    assert answer.json()["annotation"]["model_version_id"] == active(service)


def test_as_few_as_two_can_never_be_asked_to_judge() -> None:
    assert Settings.model_fields["gold_patches"].default == 5
    for too_few in (0, 1, 2):
        with pytest.raises(ValidationError):
            Settings(gold_patches=too_few)


def test_the_floor_is_a_square_micrometre() -> None:
    assert gold_masks.LEAST_PX * 0.25**2 == 1
