"""What pydantic refuses is told in sentences: no places in brackets, no words of programs."""

import re
from typing import Any

import pytest

from tests.conftest import Service
from tests.support.ready import code, ready_slide
from tests.support.tus import announce, encoded

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
OF_PROGRAMS = re.compile(
    r"Value error|Input should|Field required|body\.|query\.|String should|valid (integer|number)|"
    r"\bnull\b|\bctx\b|loc\b|\[type"
)

REFUSED: list[tuple[str, str, Any, str]] = [
    ("PATCH", "/slides/{id}", {"mpp": 99}, "The pixel size (mpp): a microscope's pixel size lies"),
    ("PATCH", "/slides/{id}", {"mpp": "x"}, "The pixel size (mpp) must be a number."),
    ("PATCH", "/slides/{id}", {"case_id": ""}, "The case (case_id) is empty."),
    ("PATCH", "/slides/{id}", {"case_id": "a" * 101}, "has more than 100 letters."),
    ("PATCH", "/slides/{id}", {"case_id": "a\nb"}, "characters that are not allowed here."),
    ("PATCH", "/slides/{id}", {"colour": 1}, "“colour” is not known here."),
    ("PATCH", "/slides/{id}", [1], "What was sent must be a JSON object."),
    ("POST", "/users", {}, "The user's name (username) is missing. The role (role) is missing."),
    ("POST", "/users", {"username": "a", "role": "boss", "password": "b"}, "must be 'viewer', "),
    ("POST", "/session", {"username": "a"}, "Send a username and a password, or a link."),
    ("GET", "/slides?limit=0", None, "The number of items asked for (limit) must be at least 1."),
    ("GET", "/slides?limit=many", None, "must be a whole number."),
    ("POST", "/slides/{id}/reports", {"regions": 3}, "“regions” must be a list."),
    ("POST", "/slides/{id}/reports", {"assay": {"fixation_hours": -1}}, "must be at least 0."),
    (
        "POST",
        "/slides/{id}/reports",
        {"protocol": "hercep_gastric_resection", "gap": "2+"},
        "leaves no pattern open: it takes no gap policy.",
    ),
    (
        "POST",
        "/slides/{id}/cells/decisions",
        {"decisions": [{"x": 1, "y": "?", "action": "exclude"}], "reason": "a"},
        "“y” of entry 1 must be a number.",
    ),
    (
        "POST",
        "/slides/{id}/cells/decisions",
        {"decisions": [], "reason": " "},
        "“decisions” is empty. The reason (reason) is empty.",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), REFUSED)
def test_a_refusal_is_a_sentence(
    service: Service, method: str, path: str, body: Any, said: str
) -> None:
    place = path.format(id=ready_slide(service)) if "{id}" in path else path
    answer = service.client.request(method, place, json=body)
    assert code(answer) == (422, "invalid")
    detail = answer.json()["detail"]
    assert said in detail
    assert detail.endswith(".")
    assert OF_PROGRAMS.search(detail) is None, detail
    for each in answer.json()["errors"]:
        assert each["message"] in detail
        assert OF_PROGRAMS.search(each["message"]) is None


def test_what_is_no_json_is_said_to_be_none(service: Service) -> None:
    answer = service.client.post(
        "/users", content=b'{"a":', headers={"Content-Type": "application/json"}
    )
    assert code(answer) == (422, "invalid")
    assert answer.json()["detail"] == "What was sent is not valid JSON."


def test_words_beside_an_upload_are_refused_in_words_too(service: Service) -> None:
    said = encoded(filename="a.svs", mpp="99")
    answer = announce(service.client, 100, **{"Upload-Metadata": said})
    assert answer.status_code == 422
    assert "The pixel size (mpp): a microscope's pixel size" in answer.json()["detail"]
    assert OF_PROGRAMS.search(answer.json()["detail"]) is None
