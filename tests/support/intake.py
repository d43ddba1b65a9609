"""Files sent, ingested and looked at through REST."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from sqlalchemy import select

from backend.job_kinds import JobKind
from backend.slides.patches.tables import Patch
from tests.conftest import Service

INGEST = (JobKind.INGEST,)


def upload(service: Service, content: bytes, name: str = "slide", **form: str) -> dict[str, Any]:
    answer = service.client.post("/slides", files={"file": (name, content)}, data=form)
    assert answer.status_code in {200, 201}, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


def ingested(service: Service, content: bytes, name: str = "slide", **form: str) -> dict[str, Any]:
    slide = upload(service, content, name, **form)
    service.run_jobs(INGEST)
    current: dict[str, Any] = service.client.get(f"/slides/{slide['id']}").json()
    return current


def encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def core(shared_data: Path, name: str = "tma_3plus.svs") -> bytes:
    return (shared_data / "wsi_her2" / name).read_bytes()


def patches_of(service: Service, slide_id: str) -> list[Patch]:
    with service.database.reading() as session:
        return list(session.scalars(select(Patch).where(Patch.slide_id == slide_id)))
