"""The web application: routes under /api/v1, the annotator at /, errors as RFC 9457."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from backend import __version__, health, metrics
from backend.annotations import geojson_routes as annotations_geojson
from backend.annotations import routes as annotations
from backend.audit import routes as audit
from backend.auth import routes as auth
from backend.db.session import get_database
from backend.events import routes as events
from backend.events.feed import Feed
from backend.exports import routes as exports
from backend.jobs import routes as jobs
from backend.label_issues import routes as label_issues
from backend.methods import Methods
from backend.model_versions import routes as model_versions
from backend.patches import routes as patches
from backend.predictions import routes as predictions
from backend.problems import answer_with_problems, describe_problems
from backend.regions import routes as regions
from backend.reports import routes as reports
from backend.review import routes as review
from backend.rounds import routes as rounds
from backend.scores import routes as scores
from backend.security import secure
from backend.settings import Settings, get_settings
from backend.slides import routes as slides
from backend.uploads import routes as uploads
from backend.web_page import serve_annotator

API = "/api/v1"
DOMAINS = (
    health,
    auth,
    uploads,
    slides,
    regions,
    patches,
    annotations,
    annotations_geojson,
    exports,
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
    metrics,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before it starts."""
    settings = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.database = get_database(settings.sqlalchemy_url)
        app.state.feed = Feed(app.state.database)
        yield
        await app.state.feed.close()
        app.state.database.dispose()

    app = FastAPI(
        title="Membrana",
        summary="Annotation of HER2 cell membranes that learns. For research use only.",
        version=__version__,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.settings = settings
    for domain in DOMAINS:
        # with a prefix the framework works a router's routes out when they are first asked for
        app.include_router(domain.router, prefix=API)
    answer_with_problems(app)
    describe_problems(app)
    app.add_middleware(Methods)
    secure(app)
    metrics.measure(app)
    serve_annotator(app, Path(__file__).parent / "static")
    return app
