"""Methods that stand for others: HEAD for GET without its bytes, and tus's override of POST."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOADS = re.compile(r"/api/v1/uploads(/[^/]*)?")
OVERRIDE = "X-HTTP-Method-Override"
OVERRIDING = frozenset({"PATCH", "DELETE", "HEAD"})


class Methods:
    """Routes know GET; whoever asks by HEAD gets the same headers and no body.

    On uploads HEAD is a call of its own, and a client behind a proxy that lets only GET and POST
    through sends POST with the method it means (tus 1.0.0).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif UPLOADS.fullmatch(scope["path"]):
            meant = Headers(scope=scope).get(OVERRIDE, "").upper()
            if scope["method"] == "POST" and meant in OVERRIDING:
                scope["method"] = meant
            await self.app(scope, receive, send)
        elif scope["method"] == "HEAD" and scope["path"].startswith("/api/"):
            await self.head(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def without_body(message: Message) -> None:
            if message["type"] != "http.response.start":
                return
            # the server, and who logs, are to see what was asked
            scope["method"] = "HEAD"
            await send(message)
            await send({"type": "http.response.body", "body": b""})

        scope["method"] = "GET"
        try:
            await self.app(scope, receive, without_body)
        finally:
            scope["method"] = "HEAD"
