"""Every error leaves as application/problem+json (RFC 9457), and the contract says so."""

import json
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from structlog.contextvars import bound_contextvars

from backend.kit.errors import (
    BadRequest,
    DatabaseBusy,
    MembranaError,
    NoSpace,
    NotFound,
    Unprocessable,
    is_database_busy,
    is_disk_full,
)
from backend.kit.plain_words import described
from backend.kit.security import HEADERS

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Some codes add members, such as `current`.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person."},
        "code": {"type": "string", "description": "A stable snake_case word for a program."},
        "errors": {
            "description": "Of what was sent: where, dotted, and what is wrong there.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "message"],
                "properties": {"where": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
    "additionalProperties": True,
}


class ProblemResponse(JSONResponse):
    """In ASCII, so that a sentence may repeat whatever was sent."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def answer_with_problems(app: FastAPI) -> None:
    """Every error leaves with a stable code; a full disk is said to be one."""
    app.add_exception_handler(MembranaError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(OSError, disk)
    app.add_exception_handler(OperationalError, database)
    app.add_exception_handler(NoConnection, database)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Exception, unknown)


def problem(error: MembranaError) -> JSONResponse:
    return ProblemResponse(error.problem(), error.status, error.headers)


def known(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MembranaError)
    return problem(error)


def invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = described(error.errors())
    return problem(Unprocessable(" ".join(each["message"] for each in errors), errors=errors))


def http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == NotFound.status:
        return problem(NotFound("There is nothing at this address."))
    if error.status_code == BadRequest.status:
        # the framework's own word for a body that no parser takes
        return problem(
            BadRequest(
                "What was sent can't be read: it is damaged, or nested far too deep.",
                code="body_unreadable",
            )
        )
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(methods_at(request))
    body = {
        "type": "about:blank",
        "title": error.detail,
        "status": error.status_code,
        "detail": error.detail,
        "code": error.detail.lower().replace(" ", "_"),
    }
    return ProblemResponse(body, error.status_code, headers)


def methods_at(request: Request) -> list[str]:
    """Return the methods of an address; the framework names those of its first route only."""
    methods = [method for method in METHODS if is_known(request, method)]
    return ["HEAD", *methods] if "GET" in methods and "HEAD" not in methods else methods


def is_known(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)


def disk(request: Request, error: Exception) -> JSONResponse:
    """Say that the disk is full, whatever was being written; raise what is something else."""
    if not is_disk_full(error):
        raise error
    log.error("the disk is full")
    return problem(
        NoSpace(
            "The server's disk filled up, so nothing was written. Delete slides that are no "
            "longer needed, or ask the administrator for a larger disk."
        )
    )


def database(request: Request, error: Exception) -> JSONResponse:
    """Say that a database that is locked, or away, may be asked again soon."""
    if is_disk_full(error) or not is_database_busy(error):
        return disk(request, error)
    log.warning("the database is busy: %s", type(error).__name__)
    return problem(
        DatabaseBusy(
            "The database is busy with other work, so nothing was written. Try again soon.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    )


def left(_: Request, __: Exception) -> JSONResponse:
    """Answer nobody: the client left before its last byte, which is no mistake of ours."""
    return problem(BadRequest("The request ended before its last byte.", code="line_broken"))


def unknown(request: Request, error: Exception) -> JSONResponse:
    """Answer for a mistake of ours, outside of all that other answers go through."""
    request_id = request.scope.get("request_id", "")
    with bound_contextvars(request_id=request_id):
        log.error("request to %s failed", request.scope.get("route"), exc_info=error)
    answer = problem(MembranaError("The server's log has the details."))
    answer.headers.update(HEADERS | {"X-Request-Id": request_id})
    return answer


def describe_problems(app: FastAPI) -> None:
    """Name the problem document as the answer of every operation that fails."""
    framework = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            contract = framework()
            schemas = contract.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = PROBLEM
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            answer = {
                "description": "What went wrong.",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
            for operations in contract["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = answer
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
