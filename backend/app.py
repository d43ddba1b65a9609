"""The web application: routes under /api/v1, the annotator at /, errors as RFC 9457."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from backend import __version__, metrics, wiring
from backend.events.feed import Feed
from backend.kit.db.session import get_database
from backend.kit.problems import answer_with_problems, describe_problems
from backend.kit.security import secure
from backend.kit.turns import AT_ONCE, Turns, hold_threads, turns_for_tiles
from backend.methods import Methods
from backend.settings import Settings, get_settings
from backend.web_page import serve_annotator

API = "/api/v1"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before it starts."""
    settings = settings or get_settings()
    wiring.listen()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.database = get_database(settings.sqlalchemy_url)
        app.state.feed = Feed(app.state.database)
        app.state.turns = Turns(AT_ONCE)
        app.state.tile_turns = turns_for_tiles()
        hold_threads()
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
    for domain in wiring.ROUTES:
        # with a prefix the framework works a router's routes out when they are first asked for
        app.include_router(domain.router, prefix=API)
    answer_with_problems(app)
    describe_problems(app)
    app.add_middleware(Methods)
    secure(app)
    metrics.measure(app)
    serve_annotator(app, Path(__file__).parent / "static")
    return app
