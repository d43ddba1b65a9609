"""The REST API as the command line uses it."""

import base64
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from backend.kit.errors import WRONG_USE, MembranaError, NotFound, Unavailable

CHUNK = 8 << 20
TUS = {"Tus-Resumable": "1.0.0"}
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds waited after each break of an upload in a row; after the last it is given up."""
PASSING = {409, 423, 460, 500, 502, 503, 504}
"""Answers to a chunk after which asking where the upload stands, and going on, makes sense."""
POLL_SECONDS = 0.5
Progress = Callable[[float, float], None]


class Refused(MembranaError):
    """The service's own problem document, raised again on this side."""

    def __init__(self, detail: str, *, code: str, answered: int) -> None:
        super().__init__(detail, code=code)
        self.answered = answered


class NoToken(Unavailable):
    """Nobody has said who asks."""

    code, exit_status = "no_token", WRONG_USE


class JobFailed(MembranaError):
    """A job that was waited for ended without success."""


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
            raise NoToken("Set MEMBRANA_TOKEN to an API token; `membrana tokens create` makes one.")
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
        return checked(answer)

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

    def wait_for_job(self, job_id: str, *, progress: Progress) -> Any:
        """Return a job that succeeded; raise JobFailed if it ended otherwise."""
        while True:
            job = self.get(f"/jobs/{job_id}")
            progress(job["progress"] or 0, 1)
            if job["state"] == "succeeded":
                return job
            if job["state"] in {"failed", "cancelled"}:
                problem = job["problem"] or {}
                detail = problem.get("detail", f"The job was {job['state']}.")
                raise JobFailed(detail, code=problem.get("code", f"job_{job['state']}"))
            time.sleep(POLL_SECONDS)

    def download(self, path: str, target: Path, *, progress: Progress, **params: Any) -> None:
        """Write what is at an address to a file, whole or not at all, however large it is.

        Where the service answers with a job, wait for it and ask again.
        """
        while job := self.fetch(path, target, params):
            self.wait_for_job(job["id"], progress=progress)

    def fetch(self, path: str, target: Path, params: dict[str, Any]) -> Any:
        """Write an answer's body to a file and return None, or return the job that it tells of."""
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with self.http.stream("GET", path, params=params) as answer:
                if answer.is_error or answer.status_code == httpx.codes.ACCEPTED:
                    answer.read()
                    return checked(answer).json()
                with draft.open("wb") as file:
                    for piece in answer.iter_bytes():
                        file.write(piece)
            draft.replace(target)
        except httpx.TransportError as error:
            raise Unavailable(
                f"The line to the service broke ({type(error).__name__}): try again.",
                code="broken_off",
            ) from error
        finally:
            draft.unlink(missing_ok=True)

    def newest_round(self) -> Any:
        rounds = self.get("/rounds", limit=1)["items"]
        if not rounds:
            raise NotFound("There was no round yet.", code="no_round")
        return self.get(f"/rounds/{rounds[0]['id']}")

    def upload(
        self,
        path: Path,
        *,
        progress: Progress = lambda _done, _total: None,
        **metadata: str,
    ) -> Any:
        """Upload a slide by tus, going on after a broken line; return the slide.

        Its `duplicate` says what came of the words of a file that was here already.
        """
        total = path.stat().st_size
        words = {"filename": path.name, **metadata}
        described = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in words.items()
        )
        created = self.ask(
            "POST",
            "/uploads",
            headers={**TUS, "Upload-Length": str(total), "Upload-Metadata": described},
        )
        place = httpx.URL(created.headers["Location"]).path.removeprefix("/api/v1")
        offset, breaks = 0, 0
        slide_id = created.headers.get("Slide-Id")
        known = "Slide-Duplicate" in created.headers
        with path.open("rb") as file:
            while slide_id is None:
                file.seek(offset)
                try:
                    # after a break the service says where it stands
                    answer = (
                        self.ask("HEAD", place, headers=TUS)
                        if breaks
                        else self.send(place, offset, file.read(CHUNK))
                    )
                    breaks = 0
                except (Unavailable, Refused) as error:
                    final = isinstance(error, Refused) and error.answered not in PASSING
                    if final or breaks == len(PAUSES):
                        raise
                    time.sleep(PAUSES[breaks])
                    breaks += 1
                    continue
                offset = int(answer.headers["Upload-Offset"])
                slide_id = answer.headers.get("Slide-Id")
                known = "Slide-Duplicate" in answer.headers
                progress(offset, total)
        slide = self.get(f"/slides/{slide_id}")
        return slide | {"duplicate": self.get(place)["duplicate"] if known else None}

    def send(self, place: str, offset: int, content: bytes) -> httpx.Response:
        headers = {
            **TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }
        return self.ask("PATCH", place, content=content, headers=headers)


def checked(answer: httpx.Response) -> httpx.Response:
    """Return an answer whose body is read; raise Refused with its sentence if it is an error."""
    if answer.is_error:
        problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        detail = problem.get("detail", f"The service answered {answer.status_code}.")
        code = problem.get("code", "refused")
        raise Refused(detail, code=code, answered=answer.status_code)
    return answer
