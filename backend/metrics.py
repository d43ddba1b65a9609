"""Figures for Prometheus: requests by route, this process, and jobs, slides, workers as rows.

`deploy/prometheus/alerts.yml` and `deploy/grafana/membrana.json` are made of them.
"""

import logging
import re
import shutil
import time
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from sqlalchemy.orm import Session
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from backend.jobs import service as jobs
from backend.jobs import workers
from backend.kit.db.base import new_id, now
from backend.kit.dependencies import CurrentSettings, ReadSession
from backend.people.users.guards import Viewer
from backend.slides.catalogue import service as slides

log = logging.getLogger("membrana.requests")
router = APIRouter(tags=["service"])
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
REQUEST_ID = re.compile(r"[\w.-]{1,64}")
LATENCY = Histogram(
    "membrana_request_seconds",
    "Time until an answer begins.",
    ["method", "route", "status"],
    registry=None,
)
RECEIVED = Counter("membrana_received_bytes", "Bytes of bodies received.", ["route"], registry=None)
PROCESS = ProcessCollector(registry=None)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def figures(session: ReadSession, settings: CurrentSettings, _: Viewer) -> Response:
    """Return the process's own figures and the rows' as they are now."""
    registry = CollectorRegistry()
    for own in (LATENCY, RECEIVED, PROCESS):
        registry.register(own)
    for count in (count_jobs, count_slides, count_workers):
        count(session, registry)
    free = Gauge("membrana_free_bytes", "Bytes free in the data folder.", registry=registry)
    free.set(shutil.disk_usage(settings.data).free)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def count_jobs(session: Session, registry: CollectorRegistry) -> None:
    gauge = Gauge("membrana_jobs", "Jobs.", ["kind", "state"], registry=registry)
    for kind, state, count in jobs.counts(session):
        gauge.labels(str(kind), str(state)).set(count)
    waiting = Gauge(
        "membrana_oldest_queued_seconds",
        "Since the oldest queued job was asked for.",
        ["kind"],
        registry=registry,
    )
    for kind, asked_at in jobs.waiting_since(session):
        waiting.labels(str(kind)).set((now() - asked_at).total_seconds())


def count_slides(session: Session, registry: CollectorRegistry) -> None:
    gauge = Gauge("membrana_slides", "Slides.", ["state"], registry=registry)
    stored = Gauge("membrana_slide_bytes", "Bytes of slide files.", ["state"], registry=registry)
    for state, count, size in slides.counts(session):
        gauge.labels(str(state)).set(count)
        stored.labels(str(state)).set(size)


def count_workers(session: Session, registry: CollectorRegistry) -> None:
    gauge = Gauge("membrana_workers", "Workers seen lately.", ["queues"], registry=registry)
    for queues, count in workers.alive(session).items():
        gauge.labels(queues).set(count)


def measure(app: FastAPI) -> None:
    app.add_middleware(Measured)


class Measured:
    """Times each request under its route's template and logs it: no id or name is a label.

    The request's id (the caller's `X-Request-Id`, or a new one) goes with every line logged
    meanwhile and back with the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("X-Request-Id", "")
        request_id = sent if REQUEST_ID.fullmatch(sent) else new_id()
        # for who answers when everything in here has failed
        scope["request_id"] = request_id
        begun = time.perf_counter()
        size = 0
        answered = False

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        async def timed(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
                answered = True
                observe(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, counted, timed)
            except Exception:
                if not answered:
                    observe(scope, HTTPStatus.INTERNAL_SERVER_ERROR, time.perf_counter() - begun)
                raise
            finally:
                if size:
                    RECEIVED.labels(template(scope)).inc(size)


def template(scope: Scope) -> str:
    """Return the address with names in place of ids."""
    return getattr(scope.get("route"), "path", "") or "none"


def observe(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else "other"
    route = template(scope)
    LATENCY.labels(method, route, status).observe(seconds)
    # what only reads and goes well is tiles and polls: thousands of lines a minute
    quiet = method in READING and status < HTTPStatus.BAD_REQUEST
    level = logging.DEBUG if quiet else logging.INFO
    log.log(level, "%s %s %d in %.0f ms", method, route, status, 1000 * seconds)
