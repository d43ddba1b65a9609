"""Who is asking: routes take `user: Viewer`, `Pathologist` or `Admin` as a parameter."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import compare_digest
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.attributes import set_committed_value

from backend.kit.db.session import Database
from backend.kit.dependencies import CurrentDatabase, settings_of
from backend.kit.errors import Forbidden, Unauthenticated
from backend.people.users import scopes
from backend.people.users import service as auth
from backend.people.users.tables import BrowserSession, Role, User

COOKIE = "membrana_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ASK_FOR_TOKEN = {"WWW-Authenticate": "Bearer"}
TOKEN = HTTPBearer(
    scheme_name="token", auto_error=False, description="An API token (POST /tokens)."
)
SESSION = APIKeyCookie(
    name=COOKIE,
    scheme_name="session",
    auto_error=False,
    description=f"A browser's session (POST /session). What is no {', '.join(sorted(SAFE))} needs "
    f"its `csrf_token` in the header {CSRF_HEADER}, too.",
)
"""For the contract alone: the framework lists them where they are asked for, as alternatives."""
RANK = {Role.VIEWER: 0, Role.PATHOLOGIST: 1, Role.ADMIN: 2}


def session_of(request: Request, database: Database) -> BrowserSession | None:
    """Return the session of the request's cookie, if there is one and it is open."""
    secret = request.cookies.get(COOKIE)
    if secret is None:
        return None
    idle = settings_of(request).idle_minutes
    with database.reading() as session:
        return auth.session_of(session, secret, idle_minutes=idle)


def browser_session(
    request: Request, database: CurrentDatabase, afterwards: BackgroundTasks
) -> BrowserSession | None:
    """Do the same and note that it is used."""
    opened = session_of(request, database)
    # a stream that stays open by itself is nobody's work
    if opened and not request.url.path.endswith("/events") and auth.is_stale(opened):
        # a route may hold the database for writing by now: it would wait for itself
        afterwards.add_task(note_use, database, opened)
    return opened


def note_use(database: Database, opened: BrowserSession) -> None:
    """Write down that a session is used; a database that is busy or full hears of it next time."""
    with suppress(OperationalError), database.writing() as session:
        auth.note_use(session, opened)


OpenSession = Annotated[BrowserSession | None, Depends(browser_session)]


def signed_in(request: Request, database: CurrentDatabase, opened: OpenSession) -> User:
    """Return the caller, by bearer token or by cookie with its CSRF header on changes.

    Also one who has to change the password first: few routes are for them.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return user_of_token(request, database, token.strip())
    if opened is None:
        raise Unauthenticated("Sign in, or send an API token.", headers=ASK_FOR_TOKEN)
    # bytes, as compare_digest takes no text beyond ASCII and a header may hold some
    sent = request.headers.get(CSRF_HEADER, "").encode()
    if request.method not in SAFE and not compare_digest(sent, opened.csrf_token.encode()):
        raise Forbidden(f"The {CSRF_HEADER} header is missing or wrong.", code="csrf")
    return opened.user


def user_of_token(request: Request, database: Database, secret: str) -> User:
    """Return a token's user with no more than the token's role, if its scopes allow the request."""
    with database.reading() as session:
        token = auth.token_of(session, secret)
    if token is None:
        raise Unauthenticated(
            "This token is not known here.", code="wrong_token", headers=ASK_FOR_TOKEN
        )
    if auth.is_over(token):
        raise Unauthenticated(
            "This token has expired.", code="token_expired", headers=ASK_FOR_TOKEN
        )
    path = request.url.path.removeprefix("/api/v1")
    if not scopes.allows(token.scopes, request.method, path):
        wanted = " or ".join(sorted(scopes.needed(request.method, path)))
        raise Forbidden(f"This token lacks the scope: {wanted}.", code="scope_missing")
    user = token.user
    if token.role is not None and RANK[token.role] < RANK[user.role]:
        # as if it had been read so: nothing of it is ever written
        set_committed_value(user, "role", token.role)
    request.state.token = token
    return user


SignedInUser = Annotated[User, Depends(signed_in)]


async def current_user(user: SignedInUser) -> User:
    """Return the caller who may work."""
    return may_work(user)


def may_work(user: User) -> User:
    """Return the caller, unless there is a password to be changed first."""
    if user.must_change_password:
        raise Forbidden(
            "An administrator has set your password: choose another one first.",
            code="password_change_required",
        )
    return user


def caller(request: Request, database: Database) -> User:
    """Return who asks, as routes are told; for what asks again while an answer goes on."""
    return may_work(signed_in(request, database, session_of(request, database)))


def at_least(role: Role) -> Callable[[User, Any, Any], Awaitable[User]]:
    async def check(
        user: Annotated[User, Depends(current_user)],
        _token: Annotated[Any, Depends(TOKEN)],
        _session: Annotated[Any, Depends(SESSION)],
    ) -> User:
        if RANK[user.role] < RANK[role]:
            raise Forbidden(f"This needs the role {role}; yours is {user.role}.")
        return user

    return check


Viewer = Annotated[User, Depends(at_least(Role.VIEWER))]
Pathologist = Annotated[User, Depends(at_least(Role.PATHOLOGIST))]
Admin = Annotated[User, Depends(at_least(Role.ADMIN))]
