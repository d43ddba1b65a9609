"""Review: a second person's verdict."""

from datetime import timedelta

from sqlalchemy import select

from backend.kit.db.base import now
from backend.learning.review.tables import Review
from backend.people.users.tables import Role, User
from backend.slides.patches.leases import free_expired
from backend.slides.patches.tables import Patch, PatchState
from tests.conftest import Service
from tests.support.ready import code, patches_of, predicted_slide, put, ready_slide, some_mask


def annotated(service: Service) -> str:
    slide_id = ready_slide(service)
    patch_id = str(patches_of(service.client, slide_id)[0]["id"])
    put(service.client, patch_id, some_mask()).raise_for_status()
    return patch_id


def test_another_person_approves(service: Service) -> None:
    patch_id = annotated(service)
    other = service.client_of(Role.PATHOLOGIST)
    answer = other.post(f"/patches/{patch_id}/review", json={"verdict": "approved"})
    assert answer.status_code == 201
    assert answer.json()["patch"]["state"] == "approved"
    with service.database.reading() as session:
        [review] = session.scalars(select(Review)).all()
    assert answer.json()["review"]["id"] == review.id
    change = put(service.client, patch_id, some_mask(1), if_match='"r1"')
    assert code(change) == (409, "patch_state")


def test_nobody_reviews_their_own(service: Service) -> None:
    patch_id = annotated(service)
    answer = service.client.post(f"/patches/{patch_id}/review", json={"verdict": "approved"})
    assert code(answer) == (403, "own_annotation")
    assert service.client.get(f"/patches/{patch_id}").json()["state"] == "annotated"


def test_a_returned_patch_is_corrected_and_reviewed_again(service: Service) -> None:
    patch_id = annotated(service)
    other = service.client_of(Role.PATHOLOGIST)
    verdict = {"verdict": "returned", "comment": "The lower edge is missing."}
    answer = other.post(f"/patches/{patch_id}/review", json=verdict)
    assert answer.json()["patch"]["state"] == "returned"
    assert answer.json()["review"]["comment"] == "The lower edge is missing."
    put(service.client, patch_id, some_mask(1), if_match='"r1"').raise_for_status()
    answer = other.post(f"/patches/{patch_id}/review", json={"verdict": "approved"})
    assert answer.status_code == 201


def test_a_returned_patch_is_offered_again(service: Service) -> None:
    slide_id = predicted_slide(service)
    patch_id = service.client.get("/queue/next").json()["patch"]["id"]
    put(service.client, patch_id, some_mask()).raise_for_status()
    other = service.client_of(Role.PATHOLOGIST)
    other.post(f"/patches/{patch_id}/review", json={"verdict": "returned"}).raise_for_status()
    answer = service.client.get("/queue/next", params={"slide_id": slide_id})
    assert answer.json()["patch"]["id"] == patch_id
    assert answer.json()["patch"]["revision"] == 1


def test_a_verdict_on_an_older_revision_is_refused(service: Service) -> None:
    patch_id = annotated(service)
    put(service.client, patch_id, some_mask(1), if_match='"r1"').raise_for_status()
    other = service.client_of(Role.PATHOLOGIST)
    review = {"verdict": "approved"}
    for tag in ('"r1"', '"nonsense"'):
        answer = other.post(f"/patches/{patch_id}/review", json=review, headers={"If-Match": tag})
        assert code(answer) == (412, "stale")
    answer = other.post(f"/patches/{patch_id}/review", json=review, headers={"If-Match": '"r2"'})
    assert answer.status_code == 201


def test_what_can_not_be_reviewed(service: Service) -> None:
    patch_id = annotated(service)
    other = service.client_of(Role.PATHOLOGIST)
    path = f"/patches/{patch_id}/review"
    assert code(service.client_of(Role.VIEWER).post(path, json={"verdict": "approved"}))[0] == 403
    assert code(other.post(path, json={"verdict": "splendid"})) == (422, "invalid")
    assert other.post(path, json={"verdict": "approved"}).status_code == 201
    assert code(other.post(path, json={"verdict": "returned"})) == (409, "patch_state")
    untouched = patches_of(service.client, ready_slide(service, seed=4))[0]["id"]
    answer = other.post(f"/patches/{untouched}/review", json={"verdict": "approved"})
    assert code(answer) == (404, "no_annotation")


def test_a_verdict_outlives_the_lease_of_who_was_to_correct_it(service: Service) -> None:
    """Leased and forgotten, or left unsaved: it still waits for its correction, as returned."""
    slide_id = predicted_slide(service)
    patch_id = service.client.get("/queue/next").json()["patch"]["id"]
    put(service.client, patch_id, some_mask()).raise_for_status()
    other = service.client_of(Role.PATHOLOGIST)
    other.post(f"/patches/{patch_id}/review", json={"verdict": "returned"}).raise_for_status()

    def take(**query: str) -> str:
        answer = service.client.get("/queue/next", params={"slide_id": slide_id, **query})
        return str(answer.json()["patch"]["id"])

    def state() -> str:
        return str(service.client.get(f"/patches/{patch_id}").json()["state"])

    assert (take(), state()) == (patch_id, "in_annotation")
    unsaved = take(after=patch_id)
    assert unsaved != patch_id
    assert state() == "returned"
    take(after=unsaved)
    with service.database.writing() as session:
        patch = session.get_one(Patch, patch_id)
        patch.state, patch.lease_user_id = PatchState.IN_ANNOTATION, session.scalar(select(User.id))
        patch.lease_until = now() - timedelta(seconds=1)
    with service.database.writing() as session:
        free_expired(session)
    assert state() == "returned"
