"""The queue: one patch, one person; what is forgotten comes back."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from starlette.testclient import TestClient

from backend.kit.db.base import now
from backend.learning.model_versions import service as model_versions
from backend.learning.patch_views.schemas import PatchOut
from backend.learning.predictions.tables import PatchPrediction, Prediction
from backend.people.users.tables import Role, User
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.patches import leases
from backend.slides.patches.tables import Patch, PatchState
from tests.conftest import Service
from tests.support.ready import code, patches_of, predicted_slide, put, ready_slide, some_mask
from tests.support.shapes import held


def ask(client: TestClient, **query: Any) -> dict[str, Any] | None:
    answer = client.get("/queue/next", params=query)
    assert answer.status_code in {200, 204}, answer.text
    return answer.json() if answer.status_code == 200 else None


def taken(client: TestClient, **query: Any) -> str:
    item = ask(client, **query)
    assert item is not None
    return str(item["patch"]["id"])


def ranked(service: Service, slide_id: str) -> list[str]:
    return [patch["id"] for patch in patches_of(service.client, slide_id)]


def expire(service: Service, patch_id: str) -> None:
    with service.database.writing() as session:
        past = now() - timedelta(seconds=1)
        leased = (Patch.id == patch_id, Patch.lease_until.is_not(None))
        session.execute(update(Patch).where(*leased).values(lease_until=past))


def test_the_most_uncertain_patch_comes_first_with_its_stored_reason(service: Service) -> None:
    slide_id = predicted_slide(service)
    item = ask(service.client, slide_id=slide_id, strategy="uncertainty")
    assert item is not None
    patch = item["patch"]
    assert patch["id"] == ranked(service, slide_id)[0]
    assert patch["state"] == "in_annotation"
    assert patch["lease"]["mine"]
    assert patch["lease"]["expires_at"] == item["lease"]["expires_at"]
    with service.database.reading() as session:
        stored = session.scalars(
            select(PatchPrediction).where(PatchPrediction.patch_id == patch["id"])
        ).one()
    # the figures are stored, the sentence is made of them: older rows speak plainly, too
    held(item["patch"], PatchOut)
    said = dict(item["reason"])
    text = said.pop("text")
    assert said == stored.reason
    assert text.startswith(
        f"The model is in doubt about {100 * stored.flagged_fraction:.1f} % of it"
    )
    assert "nats" not in text


def test_by_entropy_the_least_sure_comes_first_and_the_next_after_it(service: Service) -> None:
    slide_id = predicted_slide(service)
    with service.database.reading() as session:
        scored = session.scalars(select(PatchPrediction)).all()
        entropy = {row.patch_id: row.entropy for row in scored}
    least_sure = sorted(entropy.values(), reverse=True)
    first = ask(service.client, slide_id=slide_id, strategy="entropy")
    assert first is not None
    assert entropy[first["patch"]["id"]] == first["reason"]["entropy"] == least_sure[0]
    after = first["patch"]["id"]
    second = taken(service.client, slide_id=slide_id, strategy="entropy", after=after)
    assert entropy[second] == least_sure[1]


def test_at_random_every_patch_comes_and_none_first_always(service: Service) -> None:
    slide_id = predicted_slide(service)
    firsts = set()
    for _ in range(30):
        item = ask(service.client, slide_id=slide_id, strategy="random")
        assert item is not None
        assert "random" in item["reason"]["text"]
        firsts.add(item["patch"]["id"])
        expire(service, item["patch"]["id"])
    assert 1 < len(firsts) <= len(ranked(service, slide_id))


@pytest.mark.parametrize("strategy", ["uncertainty", "entropy", "random"])
def test_more_slides_than_a_statement_takes_values(service: Service, strategy: str) -> None:
    """SQLite takes 32,766; nor has a slide without patches anything to offer."""
    slide_id = predicted_slide(service)
    with service.database.writing() as session:
        active = model_versions.active(session).id
        others = [f"other {number}" for number in range(33_000)]
        measured = {"state": SlideState.READY, "byte_size": 1, "width": 9, "height": 9, "mpp": 0.25}
        session.execute(
            insert(Slide),
            [{"id": each, "name": each, "sha256": each, **measured} for each in others],
        )
        seen = {"model_version_id": active, "shard_count": 0, "finished_at": now()}
        session.execute(insert(Prediction), [{"slide_id": each, **seen} for each in others])
    offered = ask(service.client, strategy=strategy)
    assert offered is not None
    assert offered["patch"]["slide_id"] == slide_id


def test_saving_goes_on_to_the_next_rank(service: Service) -> None:
    slide_id = predicted_slide(service)
    order = ranked(service, slide_id)
    for expected in order:
        assert taken(service.client, slide_id=slide_id) == expected
        answer = put(service.client, expected, some_mask())
        assert answer.status_code == 201
        assert answer.json()["patch"]["lease"] is None
    assert ask(service.client, slide_id=slide_id) is None


def test_ones_own_patch_comes_back_on_reload(service: Service) -> None:
    slide_id = predicted_slide(service)
    mine = taken(service.client, slide_id=slide_id)
    theirs = taken(service.client_of(Role.PATHOLOGIST), slide_id=slide_id)
    assert mine != theirs
    assert taken(service.client, slide_id=slide_id) == mine
    assert taken(service.client) == mine


def test_leaving_unsaved_goes_round_and_not_to_and_fro(service: Service) -> None:
    slide_id = predicted_slide(service)
    order = ranked(service, slide_id)
    seen = [taken(service.client, slide_id=slide_id)]
    for _ in range(len(order)):
        seen.append(taken(service.client, slide_id=slide_id, after=seen[-1]))
    assert seen == [*order, order[0]]
    states = [patch["state"] for patch in patches_of(service.client, slide_id)]
    assert sorted(states) == ["in_annotation", *["proposed"] * 5], "one lease a person"


def test_people_at_once_never_get_the_same_patch(service: Service) -> None:
    slide_id = predicted_slide(service)
    clients = [service.client_of(Role.PATHOLOGIST) for _ in range(8)]
    start = threading.Barrier(len(clients))
    got: list[str | None] = []

    def hurry(client: TestClient) -> None:
        start.wait()
        item = ask(client, slide_id=slide_id)
        got.append(item["patch"]["id"] if item else None)

    threads = [threading.Thread(target=hurry, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    handed_out = [patch_id for patch_id in got if patch_id]
    assert len(set(handed_out)) == len(handed_out) == 6


def test_a_lease_that_ended_in_this_moment_is_not_lengthened(service: Service) -> None:
    """Two tabs of one person: one saves while the other asks. It was an error of the server."""
    slide_id = predicted_slide(service)
    patch_id = taken(service.client, slide_id=slide_id)
    with service.database.reading() as session:
        lease = session.get_one(Patch, patch_id)
        user = session.get_one(User, lease.lease_user_id)
    with service.database.writing() as session:
        held = leases.held_by(session, user, slide_id)
        assert held is not None
        assert held.id == patch_id
        # as another transaction leaves it, which PostgreSQL lets in between
        gone = {"lease_user_id": None, "lease_until": None, "state": PatchState.ANNOTATED}
        session.connection().execute(update(Patch).where(Patch.id == patch_id).values(**gone))
        assert not leases.extend(session, held, user, now() + timedelta(minutes=15))
    assert service.client.get(f"/patches/{patch_id}").json()["state"] == "annotated"


def test_tabs_that_ask_and_save_at_once_are_all_answered(service: Service) -> None:
    slide_id = predicted_slide(service)
    patch_ids = ranked(service, slide_id)
    mine, other = service.client, service.client_of(Role.PATHOLOGIST)
    answers: list[int] = []

    def ask_on(client: TestClient, strategy: str) -> None:
        for number in range(8):
            if number % 3 == 0:
                expire(service, patch_ids[number % len(patch_ids)])
            answer = client.get("/queue/next", params={"slide_id": slide_id, "strategy": strategy})
            answers.append(answer.status_code)

    def save_on() -> None:
        answers.extend(put(mine, each, some_mask()).status_code for each in patch_ids[:4])

    works = [(ask_on, (mine, "uncertainty")), (ask_on, (mine, "entropy"))]
    works += [(ask_on, (other, "random")), (save_on, ())]
    threads = [threading.Thread(target=work, args=arguments) for work, arguments in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 28, "a thread that raised has fewer"
    assert set(answers) <= {200, 201, 204}


def test_a_patch_that_is_held_this_moment_is_passed_over(service: Service) -> None:
    """On PostgreSQL nobody waits for another person's transaction."""
    slide_id = predicted_slide(service)
    order = ranked(service, slide_id)
    if service.database.engine.dialect.name == "sqlite":
        assert taken(service.client, slide_id=slide_id) == order[0]
        return
    with service.database.writing() as session:
        session.execute(select(Patch.id).where(Patch.id.in_(order[:2])).with_for_update())
        assert taken(service.client, slide_id=slide_id) == order[2]


def test_a_forgotten_lease_is_free_again(service: Service) -> None:
    slide_id = predicted_slide(service)
    forgotten = taken(service.client, slide_id=slide_id)
    expire(service, forgotten)
    shown = service.client.get(f"/patches/{forgotten}").json()
    assert shown["lease"] is None
    other = service.client_of(Role.PATHOLOGIST)
    assert taken(other, slide_id=slide_id) == forgotten
    assert taken(service.client, slide_id=slide_id) != forgotten


def test_saving_after_the_lease_ran_out_is_no_loss(service: Service) -> None:
    slide_id = predicted_slide(service)
    patch_id = taken(service.client, slide_id=slide_id)
    expire(service, patch_id)
    other = service.client_of(Role.PATHOLOGIST)
    assert taken(other, slide_id=slide_id) == patch_id
    assert put(service.client, patch_id, some_mask(1)).status_code == 201
    assert code(put(other, patch_id, some_mask(2))) == (412, "stale")
    assert taken(other, slide_id=slide_id) != patch_id


def test_slides_take_turns(service: Service) -> None:
    first = predicted_slide(service, seed=3)
    second = predicted_slide(service, seed=4)
    turns = []
    for _ in range(4):
        item = ask(service.client)
        assert item is not None
        turns.append((item["patch"]["selection"]["rank"], item["patch"]["slide_id"]))
        put(service.client, item["patch"]["id"], some_mask()).raise_for_status()
    assert turns == [(1, first), (1, second), (2, first), (2, second)]


def test_unreadable_unpredicted_and_skipped_patches_are_not_offered(service: Service) -> None:
    unpredicted = ready_slide(service, seed=4)
    assert ask(service.client, slide_id=unpredicted) is None
    slide_id = predicted_slide(service, seed=3)
    order = ranked(service, slide_id)
    with service.database.writing() as session:
        problem = {"code": "region_unreadable", "detail": "damaged"}
        session.execute(update(Patch).where(Patch.id == order[0]).values(problem=problem))
    assert taken(service.client, slide_id=slide_id) == order[1]
    other = service.client_of(Role.PATHOLOGIST)
    assert code(other.post(f"/patches/{order[1]}/skip")) == (409, "patch_not_skippable")
    assert service.client.post(f"/patches/{order[1]}/skip").json()["state"] == "skipped"
    assert taken(service.client, slide_id=slide_id) == order[2]
    assert put(service.client, order[1], some_mask()).status_code == 201, "skipped, not forbidden"


def test_who_only_looks_takes_nothing(service: Service) -> None:
    slide_id = predicted_slide(service)
    viewer = service.client_of(Role.VIEWER)
    assert code(viewer.get("/queue/next")) == (403, "not_allowed")
    patch_id = ranked(service, slide_id)[0]
    assert viewer.post(f"/patches/{patch_id}/skip").status_code == 403
    assert code(service.client.get("/queue/next?slide_id=none")) == (404, "slide_not_found")
    assert service.client.get("/queue/next?strategy=beauty").status_code == 422


def coming(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/queue", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_the_next_ones_are_shown_with_reasons_and_pictures_and_nobody_holds_them(
    service: Service,
) -> None:
    slide_id = predicted_slide(service)
    order = ranked(service, slide_id)
    listed = coming(service.client, slide_id=slide_id)
    assert [each["patch"]["id"] for each in listed] == order
    assert all(each["reason"]["text"] for each in listed)
    assert {patch["state"] for patch in patches_of(service.client, slide_id)} == {"proposed"}
    place = listed[0]["thumbnail"].removeprefix("/api/v1")
    assert service.client.get(place).headers["Content-Type"] == "image/png"
    assert len(coming(service.client, slide_id=slide_id, limit=2)) == 2
    assert code(service.client.get("/queue", params={"limit": 0})) == (422, "invalid")
    viewer = service.client_of(Role.VIEWER)
    assert code(viewer.get("/queue", params={"slide_id": slide_id})) == (403, "not_allowed")

    first = taken(service.client, slide_id=slide_id)
    after = [each["patch"]["id"] for each in coming(service.client, slide_id=slide_id, after=first)]
    assert after == order[1:], "the open one is not among those that come"
    handed_out = []
    for expected in after:
        handed_out.append(taken(service.client, slide_id=slide_id, after=first, patch_id=expected))
        first = handed_out[-1]
    assert handed_out == after


def test_the_one_that_was_shown_is_taken_if_it_is_still_free(service: Service) -> None:
    slide_id = predicted_slide(service)
    order = ranked(service, slide_id)
    other = service.client_of(Role.PATHOLOGIST)
    assert taken(service.client, slide_id=slide_id, patch_id=order[3]) == order[3]
    assert taken(other, slide_id=slide_id, patch_id=order[3]) == order[0]
    assert taken(other, slide_id=slide_id, patch_id=order[1]) == order[1], "chosen, not held"
    states = [patch["state"] for patch in patches_of(service.client, slide_id)]
    assert states.count("in_annotation") == 2, "one lease a person"
    assert [each["patch"]["id"] for each in coming(other, slide_id=slide_id, limit=2)] == [
        order[1],
        order[0],
    ], "what they hold is what comes, and what they gave back waits again"
    elsewhere = predicted_slide(service, seed=4)
    third = service.client_of(Role.PATHOLOGIST)
    assert taken(third, slide_id=elsewhere, patch_id=order[1]) in ranked(service, elsewhere)


def test_what_is_put_back_comes_last_to_who_did_it_and_first_to_others(service: Service) -> None:
    slide_id = predicted_slide(service)
    order = ranked(service, slide_id)
    mine = taken(service.client, slide_id=slide_id)
    answer = service.client.post(f"/queue/{mine}/skip")
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["lease"]) == ("proposed", None)
    assert service.client.post(f"/queue/{mine}/skip").status_code == 200, "once more is the same"
    listed = [each["patch"]["id"] for each in coming(service.client, slide_id=slide_id)]
    assert listed == [*order[1:], mine]
    other = service.client_of(Role.PATHOLOGIST)
    assert taken(other, slide_id=slide_id) == mine
    assert code(service.client.post(f"/queue/{mine}/skip")) == (409, "patch_not_skippable")
    put(other, mine, some_mask()).raise_for_status()
    assert code(other.post(f"/queue/{mine}/skip")) == (409, "patch_not_skippable")
    seen = []
    for _ in order[1:]:
        seen.append(taken(service.client, slide_id=slide_id))
        service.client.post(f"/queue/{seen[-1]}/skip").raise_for_status()
    assert seen == order[1:], "each once before any comes again"
    again = taken(service.client, slide_id=slide_id)
    assert again == order[1]
    expire(service, again)
    assert coming(service.client, slide_id=slide_id, limit=1)[0]["patch"]["id"] != again
    assert code(service.client.post("/queue/none/skip")) == (404, "patch_not_found")
