"""The REST API as the command line uses it."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from backend.errors import MembranaError, Unavailable

CHUNK = 8 << 20
TUS = {"Tus-Resumable": "1.0.0"}
Progress = Callable[[int, int], None]


class Refused(MembranaError):
    """The service's own problem document, raised again on this side."""


class Client:
    """One service, one token. Errors are the service's, in its words."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

    @classmethod
    def from_environment(cls) -> Self:
        """Use MEMBRANA_URL (default: this machine) and MEMBRANA_TOKEN."""
        token = os.environ.get("MEMBRANA_TOKEN", "")
        if not token:
            raise Unavailable(
                "Set MEMBRANA_TOKEN to an API token; `membrana tokens create` makes one.",
                code="no_token",
            )
        return cls(os.environ.get("MEMBRANA_URL", "http://127.0.0.1:8000"), token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request; raise Refused with the service's sentence if it says no."""
        try:
            answer = self.http.request(method, path, **more)
        except httpx.TransportError as error:
            raise Unavailable(
                f"No service answers at {self.http.base_url.host}:{self.http.base_url.port}.",
                code="no_service",
            ) from error
        if answer.is_error:
            problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
            detail = problem.get("detail", f"The service answered {answer.status_code}.")
            raise Refused(detail, code=problem.get("code", "refused"))
        return answer

    def get(self, path: str, **params: Any) -> Any:
        return self.ask("GET", path, params=params).json()

    def all(self, path: str, **params: Any) -> list[Any]:
        """Collect the items of all pages."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, **params, **cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}

    def upload(
        self,
        path: Path,
        *,
        progress: Progress = lambda _done, _total: None,
        **metadata: str,
    ) -> Any:
        """Upload a slide by tus, going on after a broken line; return the slide."""
        total = path.stat().st_size
        words = {"filename": path.name, **metadata}
        described = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in words.items()
        )
        made = self.ask(
            "POST",
            "/uploads",
            headers={**TUS, "Upload-Length": str(total), "Upload-Metadata": described},
        )
        place = httpx.URL(made.headers["Location"]).path.removeprefix("/api/v1")
        offset, broken = 0, 0
        slide_id = made.headers.get("Slide-Id")
        with path.open("rb") as file:
            while offset < total:
                file.seek(offset)
                try:
                    sent = self.ask(
                        "PATCH",
                        place,
                        content=file.read(CHUNK),
                        headers={
                            **TUS,
                            "Upload-Offset": str(offset),
                            "Content-Type": "application/offset+octet-stream",
                        },
                    )
                except Unavailable:
                    broken += 1
                    if broken > 5:
                        raise
                    sent = self.ask("HEAD", place, headers=TUS)
                offset = int(sent.headers["Upload-Offset"])
                slide_id = sent.headers.get("Slide-Id", slide_id)
                progress(offset, total)
        return self.get(f"/slides/{slide_id}")
