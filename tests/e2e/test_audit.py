"""An audit by real workers: a block that is no membrane is found, and goes when it is erased."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.e2e.conftest import Phantom
from tests.support.installation import Installation, embedded, finished, production, until
from tests.support.pathologist import Pathologist, idle, ingested, patches_of, pixels, png, upload
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.slow
SETTINGS = {
    "MEMBRANA_THREADS": "1",
    "MEMBRANA_PRESET": "supervised",
    "MEMBRANA_ROUND_ITERATIONS": "25",
    "MEMBRANA_ROUND_ANNOTATIONS": "0",
    "MEMBRANA_AUDIT_FOLDS": "2",
    "MEMBRANA_WEBHOOK_NETWORKS": "127.0.0.0/8",
}


@pytest.fixture(params=["embedded", "production"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    data = tmp_path / "data"
    if request.param == "embedded":
        return embedded(data, **SETTINGS)
    urls = [request.getfixturevalue(name) for name in ("fresh_postgresql", "redis_url")]
    return production(data, *urls, **SETTINGS)


def draw(client: httpx.Client, patch_id: str, mask: np.ndarray, revision: int) -> None:
    client.put(
        f"/patches/{patch_id}/annotation",
        content=png(mask),
        headers={"If-Match": f'"r{revision}"', "Content-Type": "image/png"},
    ).raise_for_status()


def news_of(receiver: Receiver) -> list[dict[str, str]]:
    told = [json.loads(body) for _, body in receiver.requests]
    return [{"type": each["type"], "id": each["data"]["id"]} for each in told]


def states(client: httpx.Client, path: str) -> set[str]:
    return {each["state"] for each in client.get(path).raise_for_status().json()["items"]}


def issues(client: httpx.Client, **query: Any) -> dict[str, Any]:
    return client.get("/label-issues", params=query).raise_for_status().json()


def test_a_block_that_is_no_membrane_is_found_until_it_is_erased(
    installation: Installation, make_phantom: Callable[..., Phantom]
) -> None:
    path, truth = make_phantom(4, 1536)
    with installation.running(), installation.client() as client, receiving() as receiver:
        told = {"url": receiver.url, "events": ["job.succeeded"]}
        webhook = client.post("/webhooks", json=told).raise_for_status().json()
        slide = ingested(client, upload(client, path)["id"])
        pathologist = Pathologist(client, slide["id"], truth)
        by_membrane = sorted(
            patches_of(client, slide["id"]), key=lambda each: -pathologist.truth(each).mean()
        )
        block = pathologist.truth(by_membrane[0]).copy()
        block[60:180, 60:180] = 255
        draw(client, by_membrane[0]["id"], block, 0)
        for patch in by_membrane[1:5]:
            pathologist.annotate(patch)

        job = client.post("/label-issues").raise_for_status().json()
        end = {"succeeded", "failed", "cancelled"}
        done = until(finished(client, f"/jobs/{job['id']}", end), "the audit to end")
        assert done["state"] == "succeeded", done
        found = issues(client, slide_id=slide["id"])
        assert (found["audit"]["judged"], found["audit"]["held_out"]) == (5, "patch")
        worst = found["items"][0]
        assert (worst["patch"]["id"], worst["kind"]) == (by_membrane[0]["id"], "surplus")
        shown = client.get(worst["pixels"].removeprefix("/api/v1")).raise_for_status()
        doubted = pixels(shown.content) == 255
        assert doubted[60:180, 60:180].sum() > doubted.sum() / 2

        draw(client, by_membrane[0]["id"], pathologist.truth(by_membrane[0]), 1)
        left = issues(client)
        assert by_membrane[0]["id"] not in {each["patch"]["id"] for each in left["items"]}
        assert left["not_judged"] == 1
        idle(client)
        # and a program elsewhere has heard of it from the workers
        heard = {"type": "job.succeeded", "id": job["id"]}
        until(lambda: heard in news_of(receiver), "the webhook to be told of the audit")
        noted = f"/webhooks/{webhook['id']}/deliveries"
        until(lambda: states(client, noted) == {"delivered"}, "all deliveries to be noted")
