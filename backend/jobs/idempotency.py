"""The Idempotency-Key header: whose it is, of which route, and of what request exactly."""

import hashlib
from typing import Annotated

from fastapi import Depends, Header, Request

from backend.jobs.repeats import IdempotencyKey
from backend.people.users.guards import Viewer


async def key_of(
    request: Request,
    user: Viewer,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> IdempotencyKey | None:
    """Return the caller's key in a namespace of their own and of this route's."""
    if idempotency_key is None:
        return None
    route = f"{request.method} {request.scope['route'].path}"
    address = f"{request.url.path}?{request.url.query}"
    body = await request.body()
    return IdempotencyKey(
        key=digest(user.id.encode(), route.encode(), idempotency_key.encode()),
        request_sha256=digest(address.encode(), body),
    )


def digest(*parts: bytes) -> str:
    """Return the sha256 of parts that keep their borders."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


KeyOfRequest = Annotated[IdempotencyKey | None, Depends(key_of)]
