"""The web application: routes under /api/v1, the annotator at /, errors as RFC 9457."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from backend import __version__, health, metrics
from backend.annotations import geojson_routes as annotations_geojson
from backend.annotations import routes as annotations
from backend.audit import routes as audit
from backend.auth import routes as auth
from backend.db.session import get_database
from backend.errors import MembranaError, NotFound, Unprocessable
from backend.events import routes as events
from backend.jobs import routes as jobs
from backend.label_issues import routes as label_issues
from backend.model_versions import routes as model_versions
from backend.patches import routes as patches
from backend.predictions import routes as predictions
from backend.regions import routes as regions
from backend.reports import routes as reports
from backend.review import routes as review
from backend.rounds import routes as rounds
from backend.scores import routes as scores
from backend.security import HEADERS, secure
from backend.settings import Settings, get_settings
from backend.slides import routes as slides
from backend.uploads import routes as uploads
from backend.web_page import serve_annotator

log = logging.getLogger(__name__)
API = "/api/v1"
DOMAINS = (
    auth,
    uploads,
    slides,
    regions,
    patches,
    annotations,
    annotations_geojson,
    review,
    predictions,
    rounds,
    model_versions,
    label_issues,
    reports,
    scores,
    jobs,
    events,
    audit,
    health,
    metrics,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before it starts."""
    settings = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.database = get_database(settings.sqlalchemy_url)
        yield
        app.state.database.dispose()

    app = FastAPI(
        title="Membrana",
        summary="Annotation of HER2 cell membranes that learns. For research use only.",
        version=__version__,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.settings = settings
    api = APIRouter(prefix=API)
    for domain in DOMAINS:
        api.include_router(domain.router)
    app.include_router(api)
    answer_with_problems(app)
    secure(app)
    metrics.measure(app)
    serve_annotator(app, Path(__file__).parent / "static")
    return app


def answer_with_problems(app: FastAPI) -> None:
    """Every error leaves as application/problem+json with a stable code."""

    def known(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, MembranaError)
        return problem(error)

    def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        where = [
            {"where": ".".join(map(str, each["loc"])), "message": each["msg"]}
            for each in error.errors()
        ]
        detail = "; ".join(f"{each['where']}: {each['message']}" for each in where)
        return problem(Unprocessable(detail, errors=where))

    def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == NotFound.status:
            return problem(NotFound("There is nothing at this address."))
        body = {
            "type": "about:blank",
            "title": error.detail,
            "status": error.status_code,
            "detail": error.detail,
            "code": error.detail.lower().replace(" ", "_"),
        }
        return JSONResponse(body, error.status_code, error.headers, "application/problem+json")

    def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("request to %s failed", request.scope.get("route"), exc_info=error)
        answer = problem(MembranaError("The server's log has the details."))
        # this one is made outside of all that other answers go through
        answer.headers.update(HEADERS)
        return answer

    app.add_exception_handler(MembranaError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unknown)


def problem(error: MembranaError) -> JSONResponse:
    return JSONResponse(
        error.problem(), error.status, error.headers, media_type="application/problem+json"
    )
