"""People and what proves who they are: passwords, browser sessions, API tokens, one-time links."""

import hashlib
import secrets
import threading
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.kit.conditional import state_etag
from backend.kit.db.base import now
from backend.kit.errors import Conflict, NotFound, Unauthenticated, Unprocessable
from backend.kit.paging import paginate
from backend.people.users.tables import ApiToken, BrowserSession, Role, SignInLink, User

TOKEN_PREFIX = "mbr_"  # noqa: S105 - what our tokens begin with, so that scanners find leaks
SESSION_LIFE = timedelta(hours=12)
SEEN_WITHIN = timedelta(minutes=1)
LINK_LIFE = timedelta(hours=24)
SHORTEST_PASSWORD = 12
passwords = PasswordHasher()
NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4"
    "$Wy98iw38D8vZnlUkf9SqmQ$dNSA7SdbVfx+KRlh2NfbV0cHYtY90kAWVRkU0OTTmR4"
)
"""Of a thrown-away secret. Verified when there is no such person, so that an answer takes as
long as for a real one; written out because making one costs every start of the service."""
at_once = threading.BoundedSemaphore(4)
"""Each hash takes 64 MiB: a crowd of guesses may not take the machine's memory."""


def sha256(secret: str) -> str:
    """Hash a random secret for storage; passwords need argon2 instead."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_user(
    session: Session,
    *,
    name: str,
    role: Role,
    password: str | None = None,
    full_name: str | None = None,
) -> User:
    """Add a person; without a password they can only use a link or tokens."""
    user = User(
        name=name, full_name=full_name, role=role, password_hash=password and hashed(password)
    )
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise Conflict(f"There is already a user called {name}.", code="user_exists") from None
    return user


def hashed(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise Unprocessable(
            f"A password needs at least {SHORTEST_PASSWORD} characters.", code="password_too_short"
        )
    with at_once:
        return passwords.hash(password)


def get_user(session: Session, user_id: str, *, held: bool = False) -> User:
    """Return a person; `held` keeps others from changing them in this transaction.

    Rows that only name the person, as those of the audit trail, are written meanwhile.
    """
    lock = {"key_share": True} if held else None
    user = session.get(User, user_id, with_for_update=lock, populate_existing=held)
    if user is None:
        raise NotFound("There is no user with this id.", code="user_not_found")
    return user


def get_user_named(session: Session, name: str) -> User:
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        raise NotFound(f"There is no user called {name}.", code="user_not_found")
    return user


def new_password() -> str:
    """Return a password that nobody guesses, for who must change it."""
    return secrets.token_urlsafe(SHORTEST_PASSWORD)


def listing(
    session: Session, *, limit: int, cursor: str | None
) -> tuple[Sequence[User], str | None]:
    """Return a page of people, oldest first."""
    return paginate(session, select(User), User.id, limit=limit, cursor=cursor)


def names(session: Session, user_ids: Collection[str]) -> dict[str, str]:
    """Return what people are called, by their ids."""
    if not user_ids:
        return {}
    rows = session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {user_id: name for user_id, name in rows}  # noqa: C416  (rows are not tuples)


def etag(user: User) -> str:
    """Return the ETag of what admins change of a person."""
    return state_etag(user.role, user.active, user.password_hash, user.full_name)


def change_user(
    session: Session,
    user_id: str,
    *,
    role: Role | None,
    active: bool | None,
    password: str | None,
    full_name: str | None = None,
) -> User:
    """Change a person. The last active admin stays one.

    A new password and a lock-out end the person's browser sessions, tokens and links; a password
    that somebody else has set must be changed at the next sign-in.
    """
    user = get_user(session, user_id)
    loses_admin = (role not in (None, Role.ADMIN)) or active is False
    if loses_admin and active_admins(session) == [user.id]:
        raise Conflict("The last admin can't be removed.", code="last_admin")
    if role is not None:
        user.role = role
    if full_name is not None:
        user.full_name = full_name
    if active is not None:
        user.active = active
    if active is False:
        end_all(session, user)
    if password is not None:
        set_password(session, user, hashed(password), by_another=True)
    session.flush()
    return user


def set_password(
    session: Session,
    user: User,
    password_hash: str,
    *,
    by_another: bool,
    but: BrowserSession | None = None,
) -> None:
    """Give a person another password; whatever proved who they were ends, `but` one session."""
    user.password_hash = password_hash
    user.must_change_password = by_another
    end_all(session, user, but=but)
    session.flush()


def end_all(session: Session, user: User, *, but: BrowserSession | None = None) -> None:
    """End a person's sessions, tokens and links."""
    sessions = delete(BrowserSession).where(BrowserSession.user_id == user.id)
    if but is not None:
        sessions = sessions.where(BrowserSession.id != but.id)
    session.execute(sessions)
    for table, ended in ((ApiToken, ApiToken.revoked_at), (SignInLink, SignInLink.used_at)):
        open_ones = update(table).where(table.user_id == user.id, ended.is_(None))
        session.execute(open_ones.values({ended: now()}))


def change_own_password(
    session: Session,
    user_id: str,
    former_hash: str | None,
    password_hash: str,
    *,
    opened: BrowserSession | None,
) -> User:
    """Change one's own password, if it is still the one that was proved meanwhile."""
    user = get_user(session, user_id, held=True)
    if user.password_hash != former_hash:
        raise Conflict("Your password was changed meanwhile.", code="password_changed")
    set_password(session, user, password_hash, by_another=False, but=opened)
    return user


def active_admins(session: Session) -> list[str]:
    """Return the admins' ids, locked: two who demote each other at once do it one by one."""
    statement = select(User.id).where(User.role == Role.ADMIN, User.active)
    return list(session.scalars(statement.with_for_update(key_share=True)))


def check_password(session: Session, name: str, password: str) -> str:
    """Return the id of the user of this name and password; the same error whatever was wrong."""
    user = session.scalar(select(User).where(User.name == name, User.active))
    try:
        with at_once:
            passwords.verify((user and user.password_hash) or NOBODY, password)
    except (VerificationError, InvalidHashError):
        user = None
    if user is None:
        raise Unauthenticated("The name or the password is wrong.", code="wrong_password")
    return user.id


def open_session(session: Session, user: User) -> tuple[BrowserSession, str]:
    """Open a browser session; return it and the secret of its cookie. Old ones are swept."""
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now()))
    secret = secrets.token_urlsafe(32)
    opened = BrowserSession(
        user_id=user.id,
        user=user,
        secret_sha256=sha256(secret),
        csrf_token=secrets.token_urlsafe(24),
        expires_at=now() + SESSION_LIFE,
    )
    session.add(opened)
    session.flush()
    return opened, secret


def close_session(session: Session, opened: BrowserSession) -> None:
    session.execute(delete(BrowserSession).where(BrowserSession.id == opened.id))


def session_of(session: Session, secret: str, *, idle_minutes: float) -> BrowserSession | None:
    """Return the open session of a cookie, if its user may still come in.

    idle_minutes: one that was not used for so long is over; 0: it is not.
    """
    opened = session.scalar(
        select(BrowserSession).where(
            BrowserSession.secret_sha256 == sha256(secret), BrowserSession.expires_at > now()
        )
    )
    if opened is None or not opened.user.active:
        return None
    idle = idle_minutes and opened.seen_at < now() - timedelta(minutes=idle_minutes)
    return None if idle else opened


def is_stale(opened: BrowserSession) -> bool:
    """Say whether the last use of a session that is known is older than a minute."""
    return opened.seen_at < now() - SEEN_WITHIN


def note_use(session: Session, opened: BrowserSession) -> None:
    session.execute(
        update(BrowserSession).where(BrowserSession.id == opened.id).values(seen_at=now())
    )


def create_token(
    session: Session,
    user: User,
    *,
    name: str,
    role: Role | None = None,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make an API token that acts as this user; it is shown once and kept as a hash."""
    if expires_at is not None and expires_at <= now():
        raise Unprocessable("This moment is over already.", code="expires_in_the_past")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            user_id=user.id,
            name=name,
            secret_sha256=sha256(token),
            role=role,
            scopes=None if scopes is None else sorted(scopes),
            expires_at=expires_at,
        )
    )
    session.flush()
    return token


def tokens_of(session: Session, user: User) -> Sequence[ApiToken]:
    valid = select(ApiToken).where(
        ApiToken.user_id == user.id,
        ApiToken.revoked_at.is_(None),
        or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now()),
    )
    return session.scalars(valid.order_by(ApiToken.id)).all()


def revoke_token(session: Session, token_id: str, *, by: User) -> None:
    """End a token for ever. People end their own, admins anybody's."""
    token = session.get(ApiToken, token_id)
    if token is None or (token.user_id != by.id and by.role != Role.ADMIN):
        raise NotFound("You have no token with this id.", code="token_not_found")
    token.revoked_at = token.revoked_at or now()


def end_token(session: Session, token: str) -> None:
    """End a token that its holder needs no longer."""
    session.execute(
        update(ApiToken).where(ApiToken.secret_sha256 == sha256(token)).values(revoked_at=now())
    )


def create_program_token(
    session: Session,
    *,
    name: str,
    role: Role,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a token for a program, which acts as a user of its own name and role."""
    user = session.scalar(select(User).where(User.name == f"program {name}"))
    if user is not None and user.role != role:
        raise Conflict(
            f"The program {name} has the role {user.role} already; choose another name.",
            code="program_has_another_role",
        )
    user = user or create_user(session, name=f"program {name}", role=role)
    return create_token(session, user, name=name, scopes=scopes, expires_at=expires_at)


def token_of(session: Session, token: str) -> ApiToken | None:
    """Return a token that is not revoked, if its user may come in."""
    known = session.scalar(
        select(ApiToken).where(
            ApiToken.secret_sha256 == sha256(token), ApiToken.revoked_at.is_(None)
        )
    )
    return known if known and known.user.active else None


def is_over(token: ApiToken) -> bool:
    return token.expires_at is not None and token.expires_at <= now()


def create_sign_in_link(session: Session, user: User) -> str:
    """Make the secret of a link that signs this user in once."""
    secret = secrets.token_urlsafe(24)
    session.add(
        SignInLink(user_id=user.id, secret_sha256=sha256(secret), expires_at=now() + LINK_LIFE)
    )
    session.flush()
    return secret


def use_link(session: Session, secret: str) -> User:
    """Return whom a link signs in, and use it up: of two who try, one gets in."""
    user_id = session.scalar(
        update(SignInLink)
        .where(
            SignInLink.secret_sha256 == sha256(secret),
            SignInLink.used_at.is_(None),
            SignInLink.expires_at > now(),
        )
        .values(used_at=now())
        .returning(SignInLink.user_id)
    )
    user = session.get(User, user_id) if user_id else None
    if user is None or not user.active:
        raise Unauthenticated(
            "This sign-in link was used before or is too old.", code="link_not_valid"
        )
    return user


def first_admin(session: Session) -> User | None:
    """Return the oldest active admin; None on an installation that nobody has started yet."""
    return session.scalar(
        select(User).where(User.role == Role.ADMIN, User.active).order_by(User.id).limit(1)
    )


def first_start(session: Session, password: str) -> str | None:
    """Make the first admin; without a password return the secret of a one-time link."""
    if first_admin(session) is not None:
        return None
    admin = create_user(session, name="admin", role=Role.ADMIN, password=password or None)
    return None if password else create_sign_in_link(session, admin)
