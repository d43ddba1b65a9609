"""Sign in and out, users, API tokens."""

from fastapi import APIRouter, Request, Response, status

from backend.kit import conditional
from backend.kit.db.session import Database
from backend.kit.dependencies import CurrentDatabase, CurrentSettings, ReadSession, WriteSession
from backend.kit.errors import Forbidden, PreconditionFailed, Unauthenticated, Unprocessable
from backend.kit.paging import Cursor, Limit, Page
from backend.people.accounts.schemas import (
    Credentials,
    NewToken,
    NewUser,
    OwnProfile,
    PasswordChange,
    PasswordReset,
    Person,
    SignedIn,
    Token,
    TokenOut,
    UserChange,
)
from backend.people.audit import service as audit
from backend.people.users import service as auth
from backend.people.users.guards import COOKIE, RANK, Admin, OpenSession, SignedInUser, Viewer
from backend.people.users.tables import BrowserSession
from backend.people.users.throttle import TRIES_OF_ADDRESS, TRIES_OF_NAME, Throttle

router = APIRouter(tags=["people"])
throttle = Throttle()


@router.post("/session")
def sign_in(
    credentials: Credentials,
    request: Request,
    response: Response,
    database: CurrentDatabase,
    settings: CurrentSettings,
) -> SignedIn:
    """Sign a browser in with a password or a one-time link."""
    address = f"address {request.client and request.client.host}"
    limits = {address: TRIES_OF_ADDRESS}
    if credentials.link is None:
        # of this address: elsewhere the person is still let in, whoever guesses here
        limits[f"{address} name {credentials.username}"] = TRIES_OF_NAME
    with throttle.attempt(limits):
        opened, secret = let_in(credentials, database)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(auth.SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="lax",
        secure="https" in {request.url.scheme, settings.public_url.partition(":")[0]},
    )
    return SignedIn.model_validate(opened)


def let_in(credentials: Credentials, database: Database) -> tuple[BrowserSession, str]:
    """Open a session for whom the credentials prove; return it and its cookie's secret."""
    user_id = None
    if credentials.link is None:
        # checked before the writing begins: on SQLite a slow hash would hold up every writer
        with database.reading() as session:
            user_id = auth.check_password(
                session, credentials.username or "", credentials.password or ""
            )
    with database.writing() as session:
        user = (
            auth.get_user(session, user_id)
            if user_id
            else auth.use_link(session, credentials.link or "")
        )
        opened, secret = auth.open_session(session, user)
        audit.record(session, user, "signed_in", "user", user.id)
    return opened, secret


@router.get("/session")
def who_am_i(opened: OpenSession) -> SignedIn:
    if opened is None:
        raise Unauthenticated("Nobody is signed in here.")
    return SignedIn.model_validate(opened)


@router.delete("/session", status_code=status.HTTP_204_NO_CONTENT)
def sign_out(
    response: Response, session: WriteSession, opened: OpenSession, user: SignedInUser
) -> None:
    if opened is not None:
        auth.close_session(session, opened)
        audit.record(session, user, "signed_out", "user", user.id)
    response.delete_cookie(COOKIE)


@router.post("/session/password")
def change_own_password(
    change: PasswordChange, database: CurrentDatabase, opened: OpenSession, user: SignedInUser
) -> Person:
    """Change one's own password; the old one is asked for.

    One's other sessions, all of one's tokens and open links end with it.
    """
    # a token proves nobody a person: only their own browser may give them a first password
    own = opened if opened is not None and opened.user_id == user.id else None
    if user.password_hash is not None or own is None:
        with throttle.attempt({f"name {user.name}": TRIES_OF_NAME}), database.reading() as session:
            try:
                auth.check_password(session, user.name, change.old_password or "")
            except Unauthenticated as wrong:
                raise Forbidden("The old password is wrong.", code="wrong_password") from wrong
    if change.new_password == change.old_password:
        raise Unprocessable("That is the old password.", code="password_unchanged")
    # before the writing begins: on SQLite a slow hash would hold up every writer
    password_hash = auth.hashed(change.new_password)
    with database.writing() as session:
        changed = auth.change_own_password(
            session, user.id, user.password_hash, password_hash, opened=own
        )
        audit.record(session, changed, "changed_own_password", "user", user.id)
        return Person.model_validate(changed)


@router.post("/users/{user_id}/password")
def reset_password(
    user_id: str, reset: PasswordReset, database: CurrentDatabase, admin: Admin
) -> Person:
    """Set another's password: at the next sign-in they must change it before anything else.

    Their sessions, tokens and open links end.
    """
    password_hash = auth.hashed(reset.password)
    with database.writing() as session:
        user = auth.get_user(session, user_id, held=True)
        auth.set_password(session, user, password_hash, by_another=True)
        audit.record(session, admin, "reset_password", "user", user.id)
        return Person.model_validate(user)


@router.get("/users")
def users(
    session: ReadSession, _: Admin, limit: Limit = 100, cursor: Cursor = None
) -> Page[Person]:
    rows, more = auth.listing(session, limit=limit, cursor=cursor)
    return Page(items=[Person.model_validate(user) for user in rows], next_cursor=more)


@router.post("/users", status_code=status.HTTP_201_CREATED)
def add_user(new: NewUser, session: WriteSession, admin: Admin, response: Response) -> Person:
    user = auth.create_user(
        session,
        name=new.username,
        role=new.role,
        password=new.password,
        full_name=new.full_name,
    )
    audit.record(session, admin, "added_user", "user", user.id, role=str(user.role))
    response.headers["ETag"] = auth.etag(user)
    return Person.model_validate(user)


@router.get("/users/me")
def read_own_profile(user: Viewer) -> Person:
    """Show the caller's own row."""
    return Person.model_validate(user)


@router.patch("/users/me")
def change_own_profile(profile: OwnProfile, session: WriteSession, user: Viewer) -> Person:
    """Say one's full name, as it is printed under what one signs from now on."""
    own = auth.get_user(session, user.id, held=True)
    own.full_name = profile.full_name
    session.flush()
    audit.record(session, user, "changed_user", "user", user.id, changed=["full_name"])
    return Person.model_validate(own)


@router.get("/users/{user_id}")
def read_user(user_id: str, session: ReadSession, _: Admin, response: Response) -> Person:
    """Show a person; the ETag is for a change with If-Match."""
    user = auth.get_user(session, user_id)
    response.headers["ETag"] = auth.etag(user)
    return Person.model_validate(user)


@router.patch("/users/{user_id}")
def change_user(
    user_id: str,
    change: UserChange,
    session: WriteSession,
    admin: Admin,
    response: Response,
    if_match: conditional.IfMatch = None,
) -> Person:
    """Change a role, a password or a full name, lock out or let in.

    With If-Match: only what was seen.
    """
    present = auth.get_user(session, user_id, held=True)
    if conditional.is_stale(if_match, auth.etag(present)):
        raise PreconditionFailed(
            "Another admin changed this person meanwhile. Look again, then change.",
            headers={"ETag": auth.etag(present)},
            current=Person.model_validate(present).model_dump(mode="json"),
        )
    user = auth.change_user(
        session,
        user_id,
        role=change.role,
        active=change.active,
        password=change.password,
        full_name=change.full_name,
    )
    changed = sorted(change.model_dump(exclude_none=True))
    audit.record(session, admin, "changed_user", "user", user.id, changed=changed)
    response.headers["ETag"] = auth.etag(user)
    return Person.model_validate(user)


@router.post("/tokens", status_code=status.HTTP_201_CREATED)
def add_token(new: NewToken, request: Request, session: WriteSession, user: Viewer) -> Token:
    """Make a token that acts as the caller, or as less; it is shown this once."""
    if new.role is not None and RANK[new.role] > RANK[user.role]:
        raise Forbidden(f"Your role is {user.role}: no token of yours is {new.role}.")
    by = getattr(request.state, "token", None)
    if by is not None and (by.scopes is not None or by.expires_at is not None):
        raise Forbidden("A token that is limited itself makes no others.", code="token_limited")
    # a token that is less than its user makes none that is more than itself
    role = new.role or user.role
    token = auth.create_token(
        session,
        user,
        name=new.name,
        role=role if new.role or by else None,
        scopes=new.scopes,
        expires_at=new.expires_at,
    )
    audit.record(
        session, user, "made_token", "user", user.id, name=new.name, role=role, scopes=new.scopes
    )
    return Token(
        name=new.name, token=token, role=role, scopes=new.scopes, expires_at=new.expires_at
    )


@router.get("/tokens")
def tokens(session: ReadSession, user: Viewer) -> Page[TokenOut]:
    """List the caller's tokens that still work; their text is not kept."""
    return Page(items=[TokenOut.model_validate(token) for token in auth.tokens_of(session, user)])


@router.delete("/tokens/{token_id}", status_code=status.HTTP_204_NO_CONTENT)
def end_token(token_id: str, session: WriteSession, user: Viewer) -> None:
    """End a token at once: one's own, or as an admin anybody's."""
    auth.revoke_token(session, token_id, by=user)
    audit.record(session, user, "ended_token", "token", token_id)
