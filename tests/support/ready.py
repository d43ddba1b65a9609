"""Slides that are ready, and predicted if wished, for tests that are not about intake."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from httpx import Response
from PIL import Image
from starlette.testclient import TestClient

from backend.job_kinds import JobKind
from backend.learning.predictions import service as predictions
from models.phantom import PhantomSpec, write
from tests.conftest import Service
from tests.support.rows import add_slide

Mask = npt.NDArray[np.uint8]
FOLDER = TemporaryDirectory(prefix="membrana-ready-")
PREDICT = (JobKind.PREDICT, JobKind.PREDICT_VIEWPORT)


@cache
def phantom(width: int, height: int, seed: int) -> Path:
    path = Path(FOLDER.name) / f"phantom-{width}-{height}-{seed}.tif"
    spec = PhantomSpec(width=width, height=height, seed=seed, her2="3+", tumour=1.0)
    write(spec, path)
    return path


def ready_slide(
    service: Service, *, width: int = 768, height: int = 512, seed: int = 3, mpp: float = 0.25
) -> str:
    """Add a phantom slide whose patches are all there and unreviewed; return its id."""
    path = phantom(width, height, seed)
    return add_slide(service.database, service.settings, path, size=(width, height), mpp=mpp)


def request(service: Service, slide_id: str, **what: Any) -> str:
    """Ask for a prediction; return the job's id."""
    with service.database.writing() as session:
        return predictions.request(session, service.settings, slide_id, **what).id


def predicted_slide(service: Service, **shape: Any) -> str:
    """Add a phantom slide and let the worker's code predict it by the cold start."""
    slide_id = ready_slide(service, **shape)
    request(service, slide_id)
    service.run_jobs(PREDICT)
    return slide_id


def patches_of(client: TestClient, slide_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/slides/{slide_id}/patches", params={"limit": 1000, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def png(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def pixels(answer: Response) -> npt.NDArray[np.uint8]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def some_mask(seed: int = 0) -> Mask:
    """A mask with all three values."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice(np.array([0, 127, 255], np.uint8), (16, 16), p=[0.6, 0.1, 0.3])
    return blocks.repeat(16, axis=0).repeat(16, axis=1)


def put(
    client: TestClient,
    patch_id: str,
    mask: Mask | bytes,
    *,
    if_match: str | None = '"r0"',
    headers: Sequence[tuple[str, str]] = (),
    **query: Any,
) -> Response:
    content = mask if isinstance(mask, bytes) else png(mask)
    sent = {"Content-Type": "image/png", **dict(headers)}
    if if_match is not None:
        sent["If-Match"] = if_match
    return client.put(
        f"/patches/{patch_id}/annotation", content=content, params=query, headers=sent
    )


def code(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
