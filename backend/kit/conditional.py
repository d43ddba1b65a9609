"""Conditional requests: an ETag saves a picture's journey, If-Match saves a person's work."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Annotated

from anyio import to_thread
from fastapi import Header, Request, Response, status

from backend.kit.errors import PreconditionRequired
from backend.kit.turns import Turns

IfMatch = Annotated[str | None, Header()]
REVISION = re.compile(r'(?:W/)?"?r(\d{1,9})"?')
NEVER = -1
"""A revision that no patch has."""
REVALIDATE = "private, no-cache"
"""Keep it, but ask each time: the answer is 304 while nothing has changed."""
FOR_EVER = "private, max-age=31536000, immutable"
"""It never changes, and only signed-in people may keep it."""


def revision_etag(revision: int) -> str:
    return f'"r{revision}"'


def state_etag(*facts: object) -> str:
    """Return the ETag of what people may change of a thing; what else moves in it is not in it."""
    return f'"{digest(*facts)}"'


def digest(*facts: object) -> str:
    """Return what an ETag is made of: others for other facts."""
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:32]


def tags_in(header: str) -> set[str]:
    """Return the ETags that If-Match or If-None-Match names, weak ones as strong ones."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def is_stale(if_match: str | None, etag: str) -> bool:
    """Say whether a writer names another state than the present one; who names none is not held."""
    if if_match is None or if_match.strip() == "*":
        return False
    return etag not in tags_in(if_match)


def base_revision(if_match: str | None, if_none_match: str | None = None) -> int:
    """Return the revision that a writer has seen; NEVER if the tag is none of ours: it is stale.

    `If-None-Match: *` says that the writer has seen none. Raise PreconditionRequired without both.
    """
    if if_match is None and if_none_match == "*":
        return 0
    if if_match is None or if_match.strip() == "*":
        raise PreconditionRequired(
            'Send If-Match with the ETag of the patch you began from, for example "r0".'
        )
    match = REVISION.fullmatch(if_match.strip())
    return int(match[1]) if match else NEVER


def picture(
    request: Request,
    etag: str,
    render: Callable[[], bytes],
    *,
    cache: str = REVALIDATE,
    media_type: str = "image/png",
) -> Response:
    """Answer with a picture, or with 304 if the client has this one; rendered only when needed.

    `If-None-Match: *` is met by whatever there is (RFC 9110, 13.1.2).
    """
    headers = headers_of(etag, cache)
    if is_known(request, etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(render(), media_type=media_type, headers=headers)


async def picture_later(
    request: Request,
    etag: str,
    render: Callable[[], bytes],
    *,
    media_type: str = "image/png",
) -> Response:
    """Do the same from the event loop; it is rendered in a thread, in its turn."""
    headers = headers_of(etag, REVALIDATE)
    if is_known(request, etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    turns: Turns = request.app.state.tile_turns
    async with turns.free:
        content = await to_thread.run_sync(render)
    return Response(content, media_type=media_type, headers=headers)


def headers_of(etag: str, cache: str) -> dict[str, str]:
    return {"ETag": f'"{etag}"', "Cache-Control": cache}


def is_known(request: Request, etag: str) -> bool:
    known = tags_in(request.headers.get("If-None-Match", ""))
    return not known.isdisjoint({f'"{etag}"', "*"})
