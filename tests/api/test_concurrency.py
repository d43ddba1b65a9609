"""Slides and people that two change at once: who says what they saw loses nothing."""

from tests.conftest import Service
from tests.support.ready import code, ready_slide

STALE = {"If-Match": '"something older"'}


def test_a_slide_changed_meanwhile_is_not_changed_again(service: Service) -> None:
    place = f"/slides/{ready_slide(service)}"
    seen = service.client.get(place).headers["ETag"]
    first = service.client.patch(place, json={"case_id": "K-1"}, headers={"If-Match": seen})
    assert first.status_code == 200
    assert first.headers["ETag"] == service.client.get(place).headers["ETag"] != seen
    late = service.client.patch(place, json={"case_id": "K-2"}, headers={"If-Match": seen})
    assert code(late) == (412, "stale")
    assert late.json()["current"] == service.client.get(place).json()
    assert late.json()["current"]["case_id"] == "K-1"
    again = {"If-Match": late.headers["ETag"]}
    assert service.client.patch(place, json={"case_id": "K-2"}, headers=again).status_code == 200


def test_a_slide_s_tag_stands_while_only_its_work_goes_on(service: Service) -> None:
    slide_id = ready_slide(service)
    seen = service.client.get(f"/slides/{slide_id}").headers["ETag"]
    service.client.post(f"/slides/{slide_id}/predictions", json={}).raise_for_status()
    assert service.client.get(f"/slides/{slide_id}").headers["ETag"] == seen


def test_a_person_changed_meanwhile_is_not_changed_again(service: Service) -> None:
    new = {"username": "anna", "role": "viewer", "password": "correct horse battery"}
    added = service.client.post("/users", json=new)
    place, seen = f"/users/{added.json()['id']}", {"If-Match": added.headers["ETag"]}
    assert service.client.get(place).headers["ETag"] == seen["If-Match"]
    assert service.client.patch(place, json={"role": "admin"}, headers=seen).status_code == 200
    late = service.client.patch(place, json={"active": False}, headers=seen)
    assert code(late) == (412, "stale")
    assert late.json()["current"] == service.client.get(place).json()
    assert late.json()["current"]["active"]
    # that one must be changed is said, and nothing else of it
    assert "password" not in late.text.replace("must_change_password", "")
    assert code(service.client.get("/users/none")) == (404, "user_not_found")


def test_who_says_nothing_or_anything_is_not_held(service: Service) -> None:
    place = f"/slides/{ready_slide(service)}"
    assert service.client.patch(place, json={"case_id": "1"}).status_code == 200
    for tag in ("*", f"{STALE['If-Match']}, W/{service.client.get(place).headers['ETag']}"):
        answer = service.client.patch(place, json={"stain": "HER2"}, headers={"If-Match": tag})
        assert answer.status_code == 200
    assert code(service.client.patch(place, json={"case_id": "2"}, headers=STALE))[0] == 412
    assert code(service.client.patch("/slides/none", json={}, headers=STALE))[0] == 404
