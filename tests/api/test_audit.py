"""The trail: who did what to what, in the transaction that did it; nothing secret in it."""

import pytest

from backend.people.audit import service as audit
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.scoring import computed, slide_with_tumour

PASSWORD = "correct horse battery"


@pytest.fixture
def anna(service: Service) -> str:
    new = {"username": "anna", "role": "pathologist", "password": PASSWORD}
    return service.client.post("/users", json=new).raise_for_status().json()["id"]


def test_it_names_who_did_what_to_whom(service: Service, anna: str) -> None:
    entries = service.client.get("/audit", params={"subject_id": anna}).json()["items"]
    assert [entry["action"] for entry in entries] == ["added_user"]
    admin = service.client.get("/users").json()["items"][0]
    assert entries[0]["user_id"] == admin["id"]
    assert (entries[0]["subject_type"], entries[0]["details"]) == ("user", {"role": "pathologist"})
    assert PASSWORD not in str(entries)


def test_a_changed_password_is_told_but_not_the_password(service: Service, anna: str) -> None:
    change = {"password": "another good password", "role": "viewer"}
    service.client.patch(f"/users/{anna}", json=change).raise_for_status()
    entry = service.client.get("/audit", params={"action": "changed_user"}).json()["items"][0]
    assert entry["details"] == {"changed": ["password", "role"]}


def test_what_is_rolled_back_leaves_no_entry(service: Service) -> None:
    with pytest.raises(ZeroDivisionError), service.database.writing() as session:
        audit.record(session, None, "tried", "user", "x")
        raise ZeroDivisionError
    assert service.client.get("/audit", params={"action": "tried"}).json()["items"] == []


def test_pages_go_from_the_newest_to_the_oldest(service: Service) -> None:
    with service.database.writing() as session:
        for number in range(5):
            audit.record(session, None, "counted", "number", str(number))
            session.flush()
    seen: list[str] = []
    cursor = None
    while True:
        query = {"action": "counted", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/audit", params=query).json()
        seen += [entry["subject_id"] for entry in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["4", "3", "2", "1", "0"]


def test_only_admins_read_it(service: Service) -> None:
    for role in (Role.VIEWER, Role.PATHOLOGIST):
        assert service.client_of(role).get("/audit").status_code == 403


def seen_by(service: Service, subject_id: str) -> list[tuple[str, str | None]]:
    entries = service.client.get("/audit", params={"subject_id": subject_id}).json()["items"]
    told = ("viewed", "downloaded", "exported")
    return [
        (entry["action"], entry["details"].get("format"))
        for entry in reversed(entries)
        if entry["action"].endswith(told)
    ]


def test_who_looked_exported_and_downloaded_is_told(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    report_id = computed(service, slide_id)
    viewer = service.client_of(Role.VIEWER)
    for _ in range(2):
        for path in (f"/slides/{slide_id}.dzi", f"/slides/{slide_id}_files/8/0_0.jpeg"):
            viewer.get(path).raise_for_status()
        for path in (f"/reports/{report_id}", f"/reports/{report_id}.csv"):
            viewer.get(path).raise_for_status()
    for path in ("annotations.geojson", "export/manifest.json?proposals=true"):
        viewer.get(f"/slides/{slide_id}/{path}").raise_for_status()
    assert viewer.get(f"/reports/{report_id}.nonsense").status_code == 404
    assert seen_by(service, report_id) == [
        ("report.viewed", None),
        ("report.downloaded", "csv"),
        ("report.downloaded", "csv"),
    ]
    assert seen_by(service, slide_id) == [
        ("slide.viewed", None),
        ("masks.exported", "geojson"),
        ("masks.exported", "manifest"),
    ]
