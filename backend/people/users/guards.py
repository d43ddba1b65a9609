"""Who is asking: routes take `user: Viewer`, `Pathologist` or `Admin` as a parameter."""

from collections.abc import Callable
from secrets import compare_digest
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from backend.kit.dependencies import CurrentDatabase
from backend.kit.errors import Forbidden, Unauthenticated
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


def browser_session(request: Request, database: CurrentDatabase) -> BrowserSession | None:
    """Return the session of the request's cookie, if there is one and it is open."""
    secret = request.cookies.get(COOKIE)
    if secret is None:
        return None
    with database.reading() as session:
        return auth.session_of(session, secret)


OpenSession = Annotated[BrowserSession | None, Depends(browser_session)]


def current_user(request: Request, database: CurrentDatabase, opened: OpenSession) -> User:
    """Return the caller, by bearer token or by cookie with its CSRF header on changes."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        with database.reading() as session:
            user = auth.user_of_token(session, token.strip())
        if user is None:
            raise Unauthenticated(
                "This token is not known here.", code="wrong_token", headers=ASK_FOR_TOKEN
            )
        return user
    if opened is None:
        raise Unauthenticated("Sign in, or send an API token.", headers=ASK_FOR_TOKEN)
    # bytes, as compare_digest takes no text beyond ASCII and a header may hold some
    sent = request.headers.get(CSRF_HEADER, "").encode()
    if request.method not in SAFE and not compare_digest(sent, opened.csrf_token.encode()):
        raise Forbidden(f"The {CSRF_HEADER} header is missing or wrong.", code="csrf")
    return opened.user


def at_least(role: Role) -> Callable[[User, Any, Any], User]:
    def check(
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
