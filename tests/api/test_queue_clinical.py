"""The queue by effect on the score: patches that could change the category, and no others."""

from typing import Any

import pytest

from backend.her2.scores.tables import LiveScore, ScoreState
from backend.kit.db.base import now
from backend.learning.queue import influence
from backend.learning.queue.influence import InfluentialPatch
from backend.people.users.tables import Role
from tests.api.test_queue import ask, expire, ranked, taken
from tests.conftest import Service
from tests.support.ready import code, patches_of, predicted_slide, put, some_mask

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def scored(service: Service, slide_id: str) -> None:
    """Give a slide the row of a live score that was computed."""
    with service.database.writing() as session:
        row = LiveScore(
            slide_id=slide_id,
            protocol="asco_cap_2023_breast",
            state=ScoreState.CURRENT,
            score="1+",
            computed_at=now(),
        )
        session.add(row)


def weigh(service: Service, slide_id: str, patch_ids: list[str]) -> None:
    """Say that these patches could change the category, the first of them most."""
    places = {
        each["id"]: (each["row"], each["column"]) for each in patches_of_all(service, slide_id)
    }
    found = [
        InfluentialPatch(
            *places[patch_id], 1 / number, {"text": f"reason {number}", "cells_to_flip": number}
        )
        for number, patch_id in enumerate(patch_ids, start=1)
    ]
    with service.database.writing() as session:
        influence.replace(session, slide_id, found)


def patches_of_all(service: Service, slide_id: str) -> list[dict[str, Any]]:
    return patches_of(service.client, slide_id)


def clinical(client: Any, **query: Any) -> dict[str, Any] | None:
    return ask(client, strategy="clinical", **query)


def test_without_a_live_score_nobody_knows_what_matters(service: Service) -> None:
    slide_id = predicted_slide(service)
    for query in ({"slide_id": slide_id}, {}):
        answer = service.client.get("/queue/next", params={"strategy": "clinical", **query})
        assert code(answer) == (409, "no_score")
        assert "live score" in answer.json()["detail"]
    other = predicted_slide(service, seed=4)
    scored(service, other)
    answer = service.client.get(f"/queue/next?strategy=clinical&slide_id={slide_id}")
    assert code(answer) == (409, "no_score")
    assert clinical(service.client) is None
    viewer = service.client_of(Role.VIEWER)
    assert code(viewer.get("/queue/next?strategy=clinical")) == (403, "not_allowed")


@ON_SQLITE
def test_a_score_that_is_not_computed_yet_is_none(service: Service) -> None:
    slide_id = predicted_slide(service)
    with service.database.writing() as session:
        session.add(LiveScore(slide_id=slide_id, protocol="asco_cap_2023_breast"))
    answer = service.client.get(f"/queue/next?strategy=clinical&slide_id={slide_id}")
    assert code(answer) == (409, "no_score")


def test_the_most_influential_comes_first_with_its_reason_and_then_nothing(
    service: Service,
) -> None:
    slide_id = predicted_slide(service)
    scored(service, slide_id)
    order = ranked(service, slide_id)[::-1][:3]
    weigh(service, slide_id, order)
    for number, expected in enumerate(order, start=1):
        item = clinical(service.client, slide_id=slide_id)
        assert item is not None
        assert item["patch"]["id"] == expected
        assert item["reason"] == {"text": f"reason {number}", "cells_to_flip": number}
        assert item["patch"]["lease"]["expires_at"] == item["lease"]["expires_at"]
        assert put(service.client, expected, some_mask()).status_code == 201
    assert clinical(service.client, slide_id=slide_id) is None
    assert ask(service.client, slide_id=slide_id) is not None, "the model still has doubts"


def test_leases_hold_as_in_any_order(service: Service) -> None:
    slide_id = predicted_slide(service)
    scored(service, slide_id)
    order = ranked(service, slide_id)[::-1]
    weigh(service, slide_id, order)
    mine = clinical(service.client, slide_id=slide_id)
    other = service.client_of(Role.PATHOLOGIST)
    theirs = clinical(other, slide_id=slide_id)
    assert mine is not None
    assert theirs is not None
    assert [mine["patch"]["id"], theirs["patch"]["id"]] == order[:2]
    again = clinical(service.client, slide_id=slide_id)
    assert again is not None
    assert again["patch"]["id"] == order[0], "one's own comes back"
    expire(service, order[1])
    third = clinical(service.client, slide_id=slide_id, after=order[0])
    assert third is not None
    assert third["patch"]["id"] == order[1], "a forgotten one is free again"
    seen = [
        clinical(service.client, slide_id=slide_id, after=order[n])["patch"]["id"] for n in (1, 2)
    ]
    assert seen == order[2:4], "left unsaved, it goes round"


@ON_SQLITE
def test_what_is_held_from_the_other_order_comes_back_with_its_own_reason(
    service: Service,
) -> None:
    slide_id = predicted_slide(service)
    scored(service, slide_id)
    first, *_, last = ranked(service, slide_id)
    weigh(service, slide_id, [last])
    assert taken(service.client, slide_id=slide_id) == first
    held = clinical(service.client, slide_id=slide_id)
    assert held is not None
    assert held["patch"]["id"] == first
    assert held["reason"] == held["patch"]["reason"]
    item = clinical(service.client, slide_id=slide_id, after=first)
    assert item is not None
    assert (item["patch"]["id"], item["reason"]["text"]) == (last, "reason 1")


@ON_SQLITE
def test_slides_take_turns_and_those_without_a_score_wait(service: Service) -> None:
    first, second, third = (predicted_slide(service, seed=seed) for seed in (3, 4, 5))
    expected = []
    for slide_id in (first, second):
        scored(service, slide_id)
        order = ranked(service, slide_id)[::-1][:2]
        weigh(service, slide_id, order)
        expected.append(order)
    got = []
    while (item := clinical(service.client)) is not None:
        got.append(item["patch"]["id"])
        put(service.client, got[-1], some_mask()).raise_for_status()
    assert got == [expected[0][0], expected[1][0], expected[0][1], expected[1][1]]
    assert ask(service.client, slide_id=third) is not None


@ON_SQLITE
def test_weighed_anew_only_the_new_counts(service: Service) -> None:
    slide_id = predicted_slide(service)
    scored(service, slide_id)
    order = ranked(service, slide_id)
    weigh(service, slide_id, order)
    weigh(service, slide_id, [order[4], order[1]])
    assert taken(service.client, slide_id=slide_id, strategy="clinical") == order[4]
    weigh(service, slide_id, [])
    other = service.client_of(Role.PATHOLOGIST)
    assert clinical(other, slide_id=slide_id) is None
    assert service.client.delete(f"/slides/{slide_id}").status_code in {200, 204, 403}
