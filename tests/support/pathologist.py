"""A pathologist for tests: knows the phantom's truth and corrects what the queue shows."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image

from models.phantom import truth_mask
from tests.support.installation import finished, until

Mask = npt.NDArray[np.uint8]


def png(mask: Mask) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(content: bytes) -> Mask:
    return np.asarray(Image.open(io.BytesIO(content)))


def upload(client: httpx.Client, path: Path, **form: str) -> dict[str, Any]:
    with path.open("rb") as file:
        answer = client.post("/slides", files={"file": (path.name, file)}, data=form)
    return answer.raise_for_status().json()


def ingested(client: httpx.Client, slide_id: str, *states: str) -> dict[str, Any]:
    end = set(states or {"ready", "failed", "needs_mpp"})
    return until(finished(client, f"/slides/{slide_id}", end), "the slide to be ingested")


def idle(client: httpx.Client) -> None:
    """Wait until no job is queued or running.

    All states come in one answer: a lost job is running at one moment and queued at the next, and
    of two questions neither would see it.
    """

    def looked() -> bool:
        jobs = client.get("/jobs", params={"limit": 200}).raise_for_status().json()
        assert jobs["next_cursor"] is None, "more jobs than one answer holds"
        return not any(job["state"] in {"queued", "running"} for job in jobs["items"])

    until(looked, "all jobs to end")


def patches_of(client: httpx.Client, slide_id: str) -> list[dict[str, Any]]:
    """All patches of a slide by position."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"order": "position", "limit": 200} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/slides/{slide_id}/patches", params=params).raise_for_status().json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return sorted(items, key=lambda patch: (patch["y"], patch["x"]))


@dataclass
class Pathologist:
    """Corrects patches of one phantom with its truth."""

    client: httpx.Client
    slide_id: str
    truth_path: Path

    def truth(self, patch: dict[str, Any]) -> Mask:
        return truth_mask(self.truth_path, round(patch["x"]), round(patch["y"]), 256, 256)

    def annotate(self, patch: dict[str, Any]) -> str:
        """Put the truth of a patch as its annotation; return the sha256 of the pixels."""
        etag = self.client.get(f"/patches/{patch['id']}").raise_for_status().headers["ETag"]
        truth = self.truth(patch)
        self.client.put(
            f"/patches/{patch['id']}/annotation",
            content=png(truth),
            params={"seconds_spent": 7, "source": "edited"},
            headers={"If-Match": etag, "Content-Type": "image/png"},
        ).raise_for_status()
        return hashlib.sha256(truth.tobytes()).hexdigest()

    def correct(self, count: int) -> dict[str, str]:
        """Correct what the queue shows next, `count` times: patch id → sha256 of its mask."""
        done: dict[str, str] = {}
        for _ in range(count):
            shown = self.client.get("/queue/next", params={"slide_id": self.slide_id})
            shown.raise_for_status()
            assert shown.status_code == 200, "the queue is empty"
            answer = shown.json()
            assert answer["reason"]["text"]
            done[answer["patch"]["id"]] = self.annotate(answer["patch"])
        return done

    def masks(self, patch_ids: list[str]) -> dict[str, str]:
        """sha256 of the annotated pixels as the service gives them back."""
        digests = {}
        for patch_id in patch_ids:
            content = self.client.get(f"/patches/{patch_id}/annotation.png").raise_for_status()
            digests[patch_id] = hashlib.sha256(pixels(content.content).tobytes()).hexdigest()
        return digests

    def dice(self, model_version: str, patches: list[dict[str, Any]]) -> float:
        """Pooled Dice of a model version's proposals on these patches, against the truth."""
        both = either = 0
        for patch in patches:
            proposal = self.client.get(
                f"/patches/{patch['id']}/proposal.png", params={"model_version": model_version}
            ).raise_for_status()
            proposed, true = pixels(proposal.content) > 0, self.truth(patch) > 0
            both += int((proposed & true).sum())
            either += int(proposed.sum()) + int(true.sum())
        return 2 * both / either
