"""What every request and every answer goes through: headers for browsers, limits for bodies."""

import re

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import BadRequest, MembranaError, TooLarge

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
LARGEST_BODY = 1 << 20
LARGE = re.compile(
    r"/api/v1/(slides(/[^/]*/annotations\.geojson)?|uploads(/[^/]*)?|patches/[^/]*/annotation)"
)
"""Addresses that read large bodies as a stream and hold their own limits."""
NUL_ESCAPE = b"\\u0000"


def secure(app: FastAPI) -> None:
    app.add_middleware(BoundedBodies)
    app.add_middleware(SafeHeaders)


class SafeHeaders:
    """Keeps a browser from being turned against its user."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)


class BoundedBodies:
    """Reads small bodies whole before anything parses them, and refuses what is no text.

    A NUL is valid in JSON and in an address, but PostgreSQL has no text that holds one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if b"%00" in scope["query_string"] or "\0" in scope["path"]:
            await refuse(BadRequest("The address holds a NUL character."), scope, receive, send)
            return
        if LARGE.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        messages: list[Message] = []
        size, tail = 0, b""
        while True:
            message = await receive()
            messages.append(message)
            part = message.get("body", b"")
            size += len(part)
            if size > LARGEST_BODY:
                too_large = TooLarge(f"A body here may have {LARGEST_BODY} bytes.")
                await refuse(too_large, scope, receive, send)
                return
            if NUL_ESCAPE in tail + part:
                await refuse(BadRequest("The body holds a NUL character."), scope, receive, send)
                return
            tail = (tail + part)[-len(NUL_ESCAPE) :]
            if not message.get("more_body", False):
                break
        messages.reverse()

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, again, send)


async def refuse(error: MembranaError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse(error.problem(), error.status, media_type="application/problem+json")
    await answer(scope, receive, send)
