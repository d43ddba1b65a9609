"""Figures for Prometheus: requests by route, and jobs and slides by state."""

import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Histogram,
    generate_latest,
)
from sqlalchemy import func, select

from backend.auth.guards import Viewer
from backend.dependencies import ReadSession
from backend.jobs.tables import Job
from backend.slides.tables import Slide

router = APIRouter(tags=["service"])
Next = Callable[[Request], Awaitable[Response]]
LATENCY = Histogram(
    "membrana_request_seconds", "Time to answer a request.", ["method", "route", "status"]
)


@router.get("/metrics")
def figures(session: ReadSession, _: Viewer) -> Response:
    """Return the process's own figures and the rows' as they are now."""
    registry = CollectorRegistry()
    registry.register(LATENCY)
    jobs = Gauge("membrana_jobs", "Jobs.", ["kind", "state"], registry=registry)
    by_kind = select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
    for kind, state, count in session.execute(by_kind):
        jobs.labels(str(kind), str(state)).set(count)
    slides = Gauge("membrana_slides", "Slides.", ["state"], registry=registry)
    by_state = select(Slide.state, func.count()).group_by(Slide.state)
    for slide_state, count in session.execute(by_state):
        slides.labels(str(slide_state)).set(count)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def measure(app: FastAPI) -> None:
    """Time every request under its route's template: no id or name becomes a label."""

    @app.middleware("http")
    async def timed(request: Request, call_next: Next) -> Response:
        start = time.perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "none")
        LATENCY.labels(request.method, route, response.status_code).observe(
            time.perf_counter() - start
        )
        return response
