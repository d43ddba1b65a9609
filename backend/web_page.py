"""The annotator's files at `/`, built by npm into `static/`; hashed names never go stale."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.routing import Match, Mount
from starlette.types import Scope

from backend.kit.errors import Unavailable

API = "/api"


class Page(Mount):
    """Answers for every address but the API's: what is unknown there is a program's mistake."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"] == API or scope["path"].startswith(f"{API}/"):
            return Match.NONE, {}
        return super().matches(scope)


def serve_annotator(app: FastAPI, folder: Path) -> None:
    """Serve index.html at `/` (never cached) and its hashed assets (cached for ever)."""

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def index() -> Response:
        page = folder / "index.html"
        if not page.is_file():
            raise Unavailable(
                "The annotator's page is not built on this server. Run `make annotator`.",
                code="annotator_not_built",
            )
        return FileResponse(page, headers={"Cache-Control": "no-cache"})

    files = StaticFiles(directory=folder, check_dir=False)
    app.router.routes.append(Page("/", files, name="annotator"))
