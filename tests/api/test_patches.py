"""Patches over REST: their order, their figures, their pictures."""

import base64

import numpy as np
import pytest

from backend.learning.predictions.patch_layers import HALF
from backend.people.users.tables import Role
from backend.slides.catalogue import service as slides
from backend.slides.patches.grid import patch_region
from backend.slides.reading.reader import open_slide
from tests.conftest import Service
from tests.support.ready import (
    code,
    patches_of,
    pixels,
    predicted_slide,
    put,
    ready_slide,
    some_mask,
)


def test_order_by_uncertainty_is_the_queues_rank(service: Service) -> None:
    slide_id = predicted_slide(service)
    patches = patches_of(service.client, slide_id)
    assert len(patches) == 6
    assert [patch["selection"]["rank"] for patch in patches] == [1, 2, 3, 4, 5, 6]
    assert all(patch["uncertainty"] == patch["selection"]["score"] for patch in patches)
    assert len({patch["uncertainty"] for patch in patches}) > 1


def test_order_by_position_and_places_in_level_0(service: Service) -> None:
    slide_id = predicted_slide(service)
    patches = patches_of(service.client, slide_id, order="position")
    places = [(patch["row"], patch["column"]) for patch in patches]
    assert places == [(row, column) for row in range(2) for column in range(3)]
    assert [(p["x"], p["y"], p["size"]) for p in patches[3:5]] == [(0, 256, 256), (256, 256, 256)]


def test_pages_join_to_the_whole_list(service: Service) -> None:
    slide_id = predicted_slide(service)
    for order in ("uncertainty", "position"):
        whole = [patch["id"] for patch in patches_of(service.client, slide_id, order=order)]
        paged, cursor = [], None
        while True:
            query = {"order": order, "limit": 4} | ({"cursor": cursor} if cursor else {})
            page = service.client.get(f"/slides/{slide_id}/patches", params=query).json()
            paged += [patch["id"] for patch in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert paged == whole


def test_unpredicted_patches_are_listed_without_figures(service: Service) -> None:
    slide_id = ready_slide(service)
    patches = patches_of(service.client, slide_id)
    assert {patch["state"] for patch in patches} == {"unreviewed"}
    assert {patch["uncertainty"] for patch in patches} == {None}
    patch_id = patches[0]["id"]
    for picture in ("proposal", "probability", "uncertain_pixels"):
        answer = service.client.get(f"/patches/{patch_id}/{picture}.png")
        assert code(answer) == (404, "no_prediction")
    answer = service.client.get(f"/patches/{patch_id}/annotation.png")
    assert code(answer) == (404, "no_annotation")


def test_states_filter_the_list(service: Service) -> None:
    slide_id = predicted_slide(service)
    patch_id = patches_of(service.client, slide_id, state="proposed")[0]["id"]
    put(service.client, patch_id, some_mask()).raise_for_status()
    assert [p["id"] for p in patches_of(service.client, slide_id, state="annotated")] == [patch_id]
    assert len(patches_of(service.client, slide_id, state="proposed")) == 5


def test_wrong_questions_are_answered_in_words(service: Service) -> None:
    slide_id = ready_slide(service)
    ask = service.client.get
    assert code(ask("/slides/none/patches")) == (404, "slide_not_found")
    assert code(ask("/patches/none")) == (404, "patch_not_found")
    huge = [
        base64.urlsafe_b64encode(f"[{key},0,0,0]".encode()).decode()
        for key in ("1" + "0" * 60, "-1e400", "NaN")
    ]
    for cursor in ("%%%", "bnVsbA==", "WzEsMiwzXQ==", "WyJhIiwgImIiLDEsMl0=", *huge):
        answer = ask(f"/slides/{slide_id}/patches", params={"cursor": cursor})
        assert code(answer) == (400, "bad_cursor")
    answer = ask(f"/slides/{slide_id}/patches", params={"model_version": "none"})
    assert code(answer) == (404, "model_version_not_found")
    assert ask(f"/slides/{slide_id}/patches", params={"order": "beauty"}).status_code == 422


def test_a_patch_tells_its_revision_model_and_reason(service: Service) -> None:
    slide_id = predicted_slide(service)
    listed = patches_of(service.client, slide_id)[0]
    answer = service.client_of(Role.VIEWER).get(f"/patches/{listed['id']}")
    assert answer.headers["ETag"] == '"r0"'
    patch = answer.json()
    assert patch == listed
    assert patch["model_version"] == "cold-start"
    assert patch["role"] is None
    assert patch["lease"] is None
    reason = patch["reason"]
    assert len(reason["text"].split()) > 3
    flagged = patch["selection"]["flagged_fraction"]
    assert reason["flagged_fraction"] == pytest.approx(flagged, abs=1e-6)
    assert f"{100 * flagged:.1f} %" in reason["text"]


def test_the_image_is_what_the_reader_reads(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = patches_of(service.client, slide_id, order="position")[4]
    answer = service.client.get(f"/patches/{patch['id']}/image.png")
    with service.database.reading() as session:
        slide = slides.get(session, slide_id)
    reader = open_slide(slide, service.settings)
    region = patch_region(slide, patch["row"], patch["column"], service.settings.analysis_mpp)
    assert (pixels(answer) == reader.read(region, (256, 256))).all()
    reader.close()


def test_the_pictures_agree_with_each_other_and_the_figures(service: Service) -> None:
    slide_id = predicted_slide(service)
    for patch in patches_of(service.client, slide_id):
        base = f"/patches/{patch['id']}"
        probability = pixels(service.client.get(f"{base}/probability.png"))
        proposal = pixels(service.client.get(f"{base}/proposal.png"))
        uncertain = pixels(service.client.get(f"{base}/uncertain_pixels.png"))
        assert (proposal == np.where(probability >= HALF, 255, 0)).all()
        assert set(np.unique(uncertain)) <= {0, 255}
        flagged = patch["selection"]["flagged_fraction"]
        assert (uncertain == 255).mean() == pytest.approx(flagged, abs=1e-6)
        named = {"model_version": patch["model_version_id"]}
        assert (pixels(service.client.get(f"{base}/proposal.png", params=named)) == proposal).all()


def test_doubt_is_listed_as_few_areas_the_most_doubtful_first(service: Service) -> None:
    slide_id = predicted_slide(service)
    listed = patches_of(service.client, slide_id)
    assert {patch["reason"]["doubt"] for patch in listed} == {"entropy"}
    seen = 0
    for patch in listed:
        base = f"/patches/{patch['id']}"
        marked = pixels(service.client.get(f"{base}/uncertain_pixels.png")) == 255
        answer = service.client_of(Role.VIEWER).get(f"{base}/uncertain_areas").json()
        assert answer["model_version_id"] == patch["model_version_id"]
        areas = answer["items"]
        assert len(areas) <= 8
        held = [area["doubt"] for area in areas]
        assert held == sorted(held, reverse=True)
        assert sum(area["pixels"] for area in areas) == marked.sum()
        boxes = np.zeros_like(marked)
        for area in areas:
            assert 32 <= area["pixels"] <= area["width"] * area["height"]
            assert 0 < area["doubt"] <= area["pixels"]
            down = slice(area["y"], area["y"] + area["height"])
            across = slice(area["x"], area["x"] + area["width"])
            boxes[down, across] = True
        assert not (marked & ~boxes).any()
        seen += len(areas)
    assert seen, "the cold start is in doubt somewhere"
    assert service.client.get("/patches/none/uncertain_areas").status_code == 404
    unseen = patches_of(service.client, ready_slide(service, seed=5))[0]["id"]
    assert code(service.client.get(f"/patches/{unseen}/uncertain_areas")) == (404, "no_prediction")


def test_a_picture_travels_once(service: Service) -> None:
    slide_id = predicted_slide(service)
    patch_id = patches_of(service.client, slide_id)[0]["id"]
    put(service.client, patch_id, some_mask()).raise_for_status()
    seen = set()
    for name in ("image", "proposal", "probability", "uncertain_pixels", "annotation"):
        url = f"/patches/{patch_id}/{name}.png"
        etag = service.client.get(url).headers["ETag"]
        seen.add(etag)
        again = service.client.get(url, headers={"If-None-Match": etag})
        assert again.status_code == 304, name
        assert not again.content
        assert service.client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
        assert service.client.get(url, headers={"If-None-Match": "*"}).status_code == 304
    assert len(seen) == 5
