"""Who looks at a slide: asked for every tile, so that the answer is remembered for a moment.

A right that ends (signed out, locked out, another password, a token revoked or expired, an idle
session) ends at once where this process ended it, and elsewhere within `remembered.SECONDS`.
"""

from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, Request

from backend.kit.db.remembered import Remembered
from backend.kit.dependencies import CurrentDatabase
from backend.people.users import scopes
from backend.people.users import service as auth
from backend.people.users.guards import (
    COOKIE,
    SESSION,
    TOKEN,
    browser_session,
    may_work,
    signed_in,
)
from backend.people.users.tables import ApiToken, BrowserSession, User

PEOPLE = Remembered[User](
    User.__tablename__, BrowserSession.__tablename__, ApiToken.__tablename__, most=5000
)


async def looking(
    request: Request,
    database: CurrentDatabase,
    afterwards: BackgroundTasks,
    _token: Annotated[Any, Depends(TOKEN)],
    _session: Annotated[Any, Depends(SESSION)],
) -> User:
    """Return the caller, of whatever role, as `guards.Viewer` does; only for what is read."""
    path = request.url.path.removeprefix("/api/v1")
    key = (
        auth.sha256(request.headers.get("Authorization", "")),
        auth.sha256(request.cookies.get(COOKIE, "")),
        scopes.needed(request.method, path),
    )

    def ask() -> User:
        opened = browser_session(request, database, afterwards)
        return may_work(signed_in(request, database, opened))

    return await PEOPLE.get(database, key, ask)


Looking = Annotated[User, Depends(looking)]
