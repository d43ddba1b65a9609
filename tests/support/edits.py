"""Edits as a program sends them."""

import base64
from typing import Any

import numpy as np
from httpx import Response
from starlette.testclient import TestClient

from tests.support.ready import Mask, png, some_mask

UNSEEN, UNCHANGED = 63, 191


def painted(seed: int = 0) -> Mask:
    """A mask with all four values: its left half was looked at."""
    mask = some_mask(seed)
    mask[:, 128:] = UNSEEN
    return mask


def whole(mask: Mask, shown: Mask | int = 0) -> Mask:
    """A mask as it is complete: what is shown where nobody had looked."""
    return np.where(mask == UNSEEN, shown, mask)


def in_base64(pixels: Mask | bytes) -> str:
    return base64.b64encode(pixels if isinstance(pixels, bytes) else png(pixels)).decode()


def tile(patch: dict[str, Any], mask: Mask | bytes, *, base: int = 0) -> dict[str, Any]:
    place = {"x": patch["x"], "y": patch["y"], "base_revision": base}
    return {**place, "mask_png_base64": in_base64(mask)}


def difference(patch: dict[str, Any], diff: Mask, *, base: int = 0) -> dict[str, Any]:
    place = {"x": patch["x"], "y": patch["y"], "base_revision": base}
    return {**place, "diff": in_base64(diff)}


def post(client: TestClient, slide_id: str, *tiles: dict[str, Any], **more: Any) -> Response:
    return client.post(f"/slides/{slide_id}/edits", json={"tiles": list(tiles), **more})


def complete(client: TestClient, patch_id: str, revision: int, **query: Any) -> Response:
    return client.post(
        f"/patches/{patch_id}/complete", params=query, headers={"If-Match": f'"r{revision}"'}
    )
