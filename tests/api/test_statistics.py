"""Statistics of annotation: counted from what people saved, and shown to whom they concern."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.edits import UNCHANGED, complete, difference, post
from tests.support.ready import code, patches_of, pixels, predicted_slide, put, ready_slide
from tests.support.scoring import computed, pathologist, report_of, sign, slide_with_tumour

ADDRESS = "/statistics/annotation"


def read(client: TestClient, **query: Any) -> Any:
    return client.get(ADDRESS, params=query).raise_for_status().json()


def work(service: Service, reader: TestClient) -> str:
    """Accept a proposal in 60 s, edit one in 30 and 30 s, draw a third from an empty mask."""
    slide_id = predicted_slide(service)
    accepted, edited, drawn = (each["id"] for each in patches_of(reader, slide_id)[:3])
    proposal = pixels(reader.get(f"/patches/{accepted}/proposal.png"))
    put(reader, accepted, proposal, seconds_spent=60, source="proposal").raise_for_status()
    proposal = pixels(reader.get(f"/patches/{edited}/proposal.png")).copy()
    proposal[:64] = 255 - proposal[:64]
    put(reader, edited, proposal, seconds_spent=30).raise_for_status()
    proposal[:] = pixels(reader.get(f"/patches/{edited}/proposal.png"))
    proposal[:16] = 255 - proposal[:16]
    put(reader, edited, proposal, if_match='"r1"', seconds_spent=30).raise_for_status()
    empty = np.zeros((256, 256), np.uint8)
    put(reader, drawn, empty, source="scratch", seconds_spent=120).raise_for_status()
    return slide_id


def test_figures_follow_from_what_was_saved(service: Service) -> None:
    reader = service.client_of(Role.PATHOLOGIST)
    slide_id = work(service, reader)
    figures = read(service.client)["overall"]
    assert (figures["patches"], figures["revisions"]) == (3, 4)
    assert (figures["seconds"], figures["minutes_per_patch"]) == (240, 240 / 60 / 3)
    assert (figures["assisted"], figures["accepted"], figures["acceptance_rate"]) == (2, 1, 0.5)
    assert figures["differing_px"] == 16 * 256, "the first try at the second patch is past"
    assert figures["edited_pixel_share"] == 16 / (2 * 256)
    assert figures["edited_membrane_share"] == 16 * 256 / figures["membrane_px"]
    assert figures["category_override_rate"] is None
    modes = {each["name"]: each["figures"] for each in read(service.client)["by_mode"]}
    assert modes["assisted"]["minutes_per_patch"] == 1
    assert modes["manual"]["minutes_per_patch"] == 2
    [by_slide] = read(service.client)["by_slide"]
    assert (by_slide["id"], by_slide["figures"]) == (slide_id, figures)
    [by_round] = read(service.client)["by_round"]
    assert (by_round["id"], by_round["name"], by_round["figures"]["patches"]) == (
        None,
        "cold-start",
        3,
    )
    # a mask that is brought back is drawn by nobody: its time counts, and what was drawn before
    edited = next(each for each in patches_of(reader, slide_id) if each["revision"] == 2)["id"]
    restore = f"/patches/{edited}/annotations/1/restore"
    answer = reader.post(restore, params={"seconds_spent": 60}, headers={"If-Match": '"r2"'})
    assert answer.status_code == 201
    after = read(service.client)["overall"]
    assert (after["seconds"], after["differing_px"]) == (300, 16 * 256)


def test_windows_and_overrides(service: Service) -> None:
    reader = service.client_of(Role.PATHOLOGIST)
    work(service, reader)
    other = ready_slide(service, seed=4)
    assert read(reader, slide_id=other)["overall"]["patches"] == 0
    assert read(reader, slide_id=other)["overall"]["minutes_per_patch"] is None
    assert read(reader, since="2090-01-01T00:00:00Z")["overall"]["patches"] == 0
    assert read(reader, until="2090-01-01T00:00:00Z")["overall"]["patches"] == 3
    for wrong in (
        {"since": "2026-01-01T00:00:00"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
    ):
        assert code(reader.get(ADDRESS, params=wrong)) == (422, "invalid")
    assert code(reader.get(ADDRESS, params={"slide_id": "none"})) == (404, "slide_not_found")
    assert read(reader)["overall"]["overridden"] == 0
    slide_id = predicted_slide(service, seed=5)
    patch_id = patches_of(reader, slide_id)[0]["id"]
    turned = 255 - pixels(reader.get(f"/patches/{patch_id}/proposal.png"))
    put(reader, patch_id, turned).raise_for_status()
    figures = read(reader, slide_id=slide_id)["overall"]
    assert (figures["overridden"], figures["override_rate"]) == (1, 1)
    assert figures["edited_membrane_share"] == 1


def test_what_is_painted_in_part_is_no_patch_but_its_time_counts(service: Service) -> None:
    reader = service.client_of(Role.PATHOLOGIST)
    slide_id = work(service, reader)
    before = read(reader)["overall"]
    neighbour = patches_of(reader, slide_id)[3]
    # a stroke that agrees with the proposal: nobody has accepted it by that
    shown = pixels(reader.get(f"/patches/{neighbour['id']}/proposal.png"))
    stroke = np.full((256, 256), UNCHANGED, np.uint8)
    stroke[:9, :9] = shown[:9, :9]
    edit = post(reader, slide_id, difference(neighbour, stroke), seconds_spent=60)
    assert edit.status_code == 201
    after = read(reader)["overall"]
    assert (after.pop("painted_in_part"), before.pop("painted_in_part")) == (1, 0)
    assert (after.pop("revisions"), before.pop("revisions")) == (5, 4)
    assert (after.pop("seconds"), before.pop("seconds")) == (300, 240)
    assert (after.pop("minutes_per_patch"), before.pop("minutes_per_patch")) == (5 / 3, 4 / 3)
    assert after == before
    complete(reader, neighbour["id"], 1).raise_for_status()
    assert read(reader)["overall"]["patches"] == 4


def test_of_others_only_administrators_see_the_figures(service: Service) -> None:
    first, second = service.client_of(Role.PATHOLOGIST), service.client_of(Role.PATHOLOGIST)
    slide_id = work(service, first)
    patch_id = patches_of(second, slide_id)[3]["id"]
    put(second, patch_id, np.zeros((256, 256), np.uint8), seconds_spent=6).raise_for_status()
    assert [each["figures"]["patches"] for each in read(service.client)["by_reader"]] == [3, 1]
    for reader, patches in ((first, 3), (second, 1)):
        [own] = read(reader)["by_reader"]
        assert (own["id"], own["figures"]["patches"]) == (
            reader.get("/users/me").json()["id"],
            patches,
        )
        assert read(reader)["overall"]["patches"] == 4
    assert read(service.client_of(Role.VIEWER))["by_reader"] == []
    answer = service.client.get(f"{ADDRESS}.csv").raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    kinds = ["all", "reader", "reader", "round", "slide", "mode", "mode"]
    assert [row["group"] for row in rows] == kinds
    assert (rows[0]["patches"], float(rows[0]["minutes_per_patch"])) == ("4", 246 / 60 / 4)
    assert rows[0]["category_override_rate"] == ""
    kept = [row["action"] for row in service.client.get("/audit").json()["items"]]
    assert {"statistics.viewed", "statistics.downloaded"} <= set(kept)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_report_signed_with_another_category_is_an_override(service: Service) -> None:
    slide_id = slide_with_tumour(service)
    signer = pathologist(service)
    first, second = computed(service, slide_id), computed(service, slide_id)
    score = report_of(service, first)["score"]
    sign(signer, first, score=score).raise_for_status()
    other = next(each for each in ("0", "1+") if each != score)
    sign(signer, second, score=other, reason="by eye").raise_for_status()
    figures = read(signer, slide_id=slide_id)
    for each in (figures["overall"], figures["by_reader"][0]["figures"]):
        assert (each["signed"], each["category_overridden"]) == (2, 1)
        assert each["category_override_rate"] == 0.5
    assert read(signer, slide_id=slide_id, since="2090-01-01T00:00:00Z")["overall"]["signed"] == 0
