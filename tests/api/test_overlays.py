"""Overlays: on the slide's own grid, in agreement with the pyramid at every level."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from httpx import Response

from backend.kit.storage.pyramids import Channel, Pyramid, halved
from backend.learning.overlays import colours as overlays
from backend.learning.overlays.colours import COLOURS, COVER, FAINT, GREEN, Overlay
from backend.learning.predictions import service as predictions
from backend.slides.catalogue import service as slides
from backend.slides.reading.tiles import level_size, tile_box, top_level
from tests.conftest import Service
from tests.support.ready import (
    PREDICT,
    code,
    patches_of,
    pixels,
    predicted_slide,
    put,
    ready_slide,
    some_mask,
)

WIDTH, HEIGHT = 2304, 768
"""Two shards; a whole number of pixels down to 1/256."""
Rgba = npt.NDArray[np.uint8]


def tile(service: Service, slide_id: str, kind: str, place: tuple[int, int, int]) -> Response:
    level, column, row = place
    url = f"/slides/{slide_id}/overlays/{kind}_files/{level}/{column}_{row}.png"
    return service.client.get(url)


def whole_level(
    service: Service, slide_id: str, kind: str, level: int, size: tuple[int, int]
) -> Rgba:
    """Join all tiles of a Deep Zoom level."""
    width, height = level_size(*size, level)
    joined = np.zeros((height, width, 4), np.uint8)
    for row in range(-(-height // 256)):
        for column in range(-(-width // 256)):
            part = pixels(tile(service, slide_id, kind, (level, column, row)))
            expected = tile_box(*size, level, column, row).size
            assert part.shape == (expected[1], expected[0], 4)
            y, x = row * 256, column * 256
            joined[y : y + part.shape[0], x : x + part.shape[1]] = part
    return joined


def pyramid_of(service: Service, slide_id: str) -> Pyramid:
    with service.database.reading() as session:
        slide = slides.get(session, slide_id)
        prediction = predictions.shown(session, slide_id)
        assert prediction is not None
        return predictions.pyramid_of(slide, prediction, service.settings)


def colour(kind: Overlay, channels: npt.NDArray[np.uint8], shrink: int) -> Rgba:
    if kind == Overlay.UNCERTAINTY:
        mixed = channels[1] // 2 + (channels[2] + 1) // 2
        return COLOURS[kind][mixed]
    coarse = kind == Overlay.PROPOSAL and shrink >= overlays.COARSE_STEP
    return (FAINT if coarse else COLOURS[kind])[channels[0]]


def test_every_level_agrees_with_the_pyramid(service: Service) -> None:
    slide_id = predicted_slide(service, width=WIDTH, height=HEIGHT)
    pyramid = pyramid_of(service, slide_id)
    expected = pyramid.read(0, 0, 0, (WIDTH, HEIGHT), tuple(Channel))
    top = top_level(WIDTH, HEIGHT)
    for shrink in range(9):
        for kind in (Overlay.PROBABILITY, Overlay.PROPOSAL, Overlay.UNCERTAINTY):
            seen = whole_level(service, slide_id, kind, top - shrink, (WIDTH, HEIGHT))
            wanted = colour(kind, expected, 2**shrink)
            if shrink < len(pyramid.levels):
                assert (seen == wanted).all(), (kind, shrink)
            else:
                # past the last stored level: means of means are rounded at another place
                difference = np.abs(seen[..., 3].astype(int) - wanted[..., 3])
                assert difference.max() <= 4 * (shrink - len(pyramid.levels) + 2), (kind, shrink)
        expected = halved(expected)
    for level in range(top - 9 + 1):
        for kind in Overlay:
            assert pixels(tile(service, slide_id, kind, (level, 0, 0))).size


def test_a_coarser_slide_reads_the_finer_grid_one_level_down(service: Service) -> None:
    slide_id = predicted_slide(service, width=512, height=512, mpp=0.5)
    pyramid = pyramid_of(service, slide_id)
    assert pyramid.size == (1024, 1024)
    expected = pyramid.read(1, 0, 0, (512, 512), [Channel.PROBABILITY])[0]
    seen = whole_level(service, slide_id, "probability", top_level(512, 512), (512, 512))
    assert (seen == COLOURS[Overlay.PROBABILITY][expected]).all()


def test_a_slide_off_the_grid_stays_in_place(service: Service) -> None:
    """At 0.2 µm/px a level-0 pixel is 0.8 analysis px: bright spots must stay where they are."""
    slide_id = predicted_slide(service, width=640, height=640, mpp=0.2)
    pyramid = pyramid_of(service, slide_id)
    assert pyramid.size == (512, 512)
    probability = pyramid.read(0, 0, 0, (512, 512), [Channel.PROBABILITY])[0]
    seen = whole_level(service, slide_id, "probability", top_level(640, 640), (640, 640))
    y, x = (np.arange(640) + 0.5) * 0.8 // 1, (np.arange(640) + 0.5) * 0.8 // 1
    nearest = probability[np.ix_(y.astype(int), x.astype(int))]
    expected = COLOURS[Overlay.PROBABILITY][nearest][..., 3].astype(float)
    both = np.corrcoef(expected.ravel(), seen[..., 3].astype(float).ravel())[0, 1]
    assert both > 0.97


def test_what_is_not_predicted_is_transparent(service: Service) -> None:
    slide_id = ready_slide(service, width=WIDTH, height=HEIGHT)
    top = top_level(WIDTH, HEIGHT)
    before = tile(service, slide_id, "probability", (top, 8, 2))
    assert pixels(before).shape == (256, 256, 4)
    assert not pixels(before).any()
    box = {"x": 2100, "y": 10, "width": 50, "height": 50}
    service.client.post(f"/slides/{slide_id}/predictions", json=box).raise_for_status()
    service.run_jobs(PREDICT)
    after = tile(service, slide_id, "probability", (top, 8, 2))
    assert after.headers["ETag"] != before.headers["ETag"]
    seen = whole_level(service, slide_id, "probability", top, (WIDTH, HEIGHT))
    assert seen[:, 2048:, 3].any(), "the viewport's shard"
    assert not seen[:, :2048].any()
    overview = whole_level(service, slide_id, "probability", top - 3, (WIDTH, HEIGHT))
    assert overview[:, 256:, 3].any()
    assert not overview[:, :256].any()


def test_a_tile_travels_once(service: Service) -> None:
    slide_id = predicted_slide(service)
    url = f"/slides/{slide_id}/overlays/proposal_files/10/0_0.png"
    first = service.client.get(url)
    assert "no-cache" in first.headers["Cache-Control"]
    again = service.client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("shrink", [0, 1, 3, 6, 8])
def test_people_see_their_masks_at_every_level(service: Service, shrink: int) -> None:
    slide_id = ready_slide(service, width=768, height=512)
    patches = patches_of(service.client, slide_id, order="position")
    top = top_level(768, 512)
    coverage = np.zeros((2, 512, 768))
    for index in (0, 4):
        patch, mask = patches[index], some_mask(index)
        put(service.client, patch["id"], mask).raise_for_status()
        y, x = int(patch["y"]), int(patch["x"])
        coverage[0, y : y + 256, x : x + 256] = mask == 255
        coverage[1, y : y + 256, x : x + 256] = mask == 127
    cell = 2**shrink
    means = coverage.reshape(2, 512 // cell, cell, 768 // cell, cell).mean(axis=(2, 4))
    seen = whole_level(service, slide_id, "annotation", top - shrink, (768, 512))
    assert np.abs(seen[..., 3] - means.max(axis=0) * COVER).max() <= 1
    membrane = means[0] > means[1]
    assert (seen[..., :3][membrane] == GREEN).all()


def test_a_new_revision_is_a_new_tile(service: Service) -> None:
    slide_id = ready_slide(service)
    patch = patches_of(service.client, slide_id, order="position")[0]
    place = (top_level(768, 512), 0, 0)
    empty = tile(service, slide_id, "annotation", place)
    assert not pixels(empty).any()
    put(service.client, patch["id"], some_mask(0)).raise_for_status()
    first = tile(service, slide_id, "annotation", place)
    put(service.client, patch["id"], some_mask(1), if_match='"r1"').raise_for_status()
    second = tile(service, slide_id, "annotation", place)
    etags = [each.headers["ETag"] for each in (empty, first, second)]
    assert len(set(etags)) == 3
    assert (pixels(second)[..., 3] == np.where(some_mask(1) > 0, COVER, 0)).all()
    other = tile(service, slide_id, "annotation", (place[0], 2, 1))
    assert other.headers["ETag"] == empty.headers["ETag"], "elsewhere nothing changed"


def test_wrong_tiles(service: Service) -> None:
    slide_id = ready_slide(service)
    for place in ((30, 0, 0), (10, 3, 0), (10, 0, 2), (-1, 0, 0)):
        assert code(tile(service, slide_id, "proposal", place)) == (404, "tile_outside")
    assert tile(service, slide_id, "beauty", (10, 0, 0)).status_code == 422
    url = f"/slides/{slide_id}/overlays/proposal_files/10/0_0.png?model_version=none"
    assert code(service.client.get(url)) == (404, "model_version_not_found")
    assert code(tile(service, "none", "proposal", (10, 0, 0))) == (404, "slide_not_found")


@pytest.mark.parametrize(
    ("wanted", "status", "word"),
    [
        ({"x": 5000, "y": 0, "width": 10, "height": 10}, 422, "box_outside"),
        ({"x": -50, "y": 0, "width": 50, "height": 10}, 422, "box_outside"),
        ({"x": 0, "y": 0, "width": 0, "height": 10}, 422, "invalid"),
        ({"x": 0, "y": 0}, 422, "invalid"),
        ({"box": {"x": 0, "y": 0}}, 422, "invalid"),
        ({"box": {"x": 0, "y": 0, "width": 9, "height": 9, "depth": 9}}, 422, "invalid"),
        ({"box": {"x": 0, "y": 0, "width": 9, "height": 9}, "x": 1}, 422, "invalid"),
        ({"bbox": {"x": 0, "y": 0, "width": 9, "height": 9}}, 422, "invalid"),
        ({"model_version": "none"}, 404, "model_version_not_found"),
    ],
)
def test_wrong_requests_for_predictions(
    service: Service, wanted: dict[str, Any], status: int, word: str
) -> None:
    slide_id = ready_slide(service)
    answer = service.client.post(f"/slides/{slide_id}/predictions", json=wanted)
    assert code(answer) == (status, word)


def test_a_repeated_request_is_the_same_job(service: Service) -> None:
    slide_id = ready_slide(service, width=WIDTH, height=HEIGHT)
    url = f"/slides/{slide_id}/predictions"
    box = {"x": 0, "y": 0, "width": 10, "height": 10}

    def ask(body: dict[str, Any], key: str | None = None) -> str:
        headers = {"Idempotency-Key": key} if key else {}
        answer = service.client.post(url, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    whole = ask({}, "k")
    assert ask({}) == whole
    left, right = ask(box), ask({**box, "x": 2100})
    assert len({whole, left, right}) == 3, "viewports stand beside the whole slide"
    assert ask({**box, "x": 5}) == left, "the same shards"
    assert ask({"box": box}) == left, "the same box in its other spelling"
    service.run_jobs(PREDICT)
    assert ask({}, "k") == whole, "also when it is over"
    answer = service.client.post(url, json=box, headers={"Idempotency-Key": "k"})
    assert code(answer) == (409, "idempotency_key_reused")
