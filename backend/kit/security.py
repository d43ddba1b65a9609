"""What every request and every answer goes through: headers for browsers, limits for bodies."""

import re

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.kit.errors import BadRequest, MembranaError, TooLarge
from backend.kit.turns import InFlight

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
    r"/api/v1/(slides(/[^/]*/annotations\.geojson)?|uploads(/[^/]*)?|patches/[^/]*/annotation"
    r"|studies/[^/]*/patches/[^/]*/reading"
    r"|monai/(infer/[^/]*|datastore/label))"
)
"""Addresses that read large bodies as a stream and hold their own limits."""
MONAI = "/api/v1/monai/"
LARGE_OR_LIVE = re.compile(f"{LARGE.pattern}|/api/v1/health/live")
ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([0-9a-fA-F]{4})|.)", re.DOTALL
)
"""One escape of JSON; the group holds what is no pair of surrogates."""
SURROGATES = range(0xD800, 0xE000)


def secure(app: FastAPI) -> None:
    # the first added is the innermost: what is small has come before it takes a place
    app.add_middleware(InFlight, free_of=LARGE_OR_LIVE)
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
    """Reads small bodies whole before anything parses them, and refuses what is no text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if b"%00" in scope["query_string"] or "\0" in scope["path"]:
            await refuse(BadRequest("The address holds a NUL character."), scope, receive, send)
            return
        # MONAI Label's client announces with these the length of what it posted before
        unsent = scope["method"] in {"GET", "DELETE"} and scope["path"].startswith(MONAI)
        if unsent or LARGE.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                # who left before the last byte asks for nothing
                return
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY:
                too_large = TooLarge(f"A body here may have {LARGEST_BODY} bytes.")
                await refuse(too_large, scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        try:
            check_text(body)
        except BadRequest as error:
            await refuse(error, scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        body.clear()

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, again, send)


def check_text(body: bytes | bytearray) -> None:
    """Raise BadRequest for JSON that holds what no database and no answer can.

    A NUL and half a surrogate pair are valid in JSON, but PostgreSQL has no text with a NUL, and
    UTF-8 has no half pairs. (The parser itself takes UTF-16 too, and half pairs as bytes.)
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest("The body is no text in UTF-8.") from None
    for escape in ESCAPE.finditer(text) if "\\u" in text else ():
        alone = int(escape[1], 16) if escape[1] else None
        if alone == 0:
            raise BadRequest("The body holds a NUL character.")
        if alone in SURROGATES:
            raise BadRequest("The body holds half of a surrogate pair, which is no character.")


async def refuse(error: MembranaError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse(error.problem(), error.status, media_type="application/problem+json")
    await answer(scope, receive, send)
