"""People and what proves who they are: passwords, browser sessions, API tokens, one-time links."""

import hashlib
import secrets
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from backend.auth.tables import ApiToken, BrowserSession, Role, SignInLink, User
from backend.db.base import now
from backend.errors import Conflict, NotFound, Unauthenticated, Unprocessable

TOKEN_PREFIX = "mbr_"  # noqa: S105 - what our tokens begin with, so that scanners find leaks
SESSION_LIFE = timedelta(hours=12)
LINK_LIFE = timedelta(hours=24)
SHORTEST_PASSWORD = 12
passwords = PasswordHasher()
NOBODY = passwords.hash(secrets.token_hex())
"""Verified when there is no such person, so that an answer takes as long as for a real one."""


def sha256(secret: str) -> str:
    """Hash a random secret for storage; passwords need argon2 instead."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_user(session: Session, *, name: str, role: Role, password: str | None = None) -> User:
    """Add a person; without a password they can only use a link or tokens."""
    if session.scalar(select(User.id).where(User.name == name)):
        raise Conflict(f"There is already a user called {name}.", code="user_exists")
    user = User(name=name, role=role, password_hash=password and hashed(password))
    session.add(user)
    session.flush()
    return user


def hashed(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise Unprocessable(
            f"A password needs at least {SHORTEST_PASSWORD} characters.", code="password_too_short"
        )
    return passwords.hash(password)


def change_user(
    session: Session,
    user_id: str,
    *,
    role: Role | None,
    active: bool | None,
    password: str | None,
) -> User:
    """Change a person. The last active admin stays one; whoever is locked out is signed out."""
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no user with this id.", code="user_not_found")
    loses_admin = (role not in (None, Role.ADMIN)) or active is False
    if user.role == Role.ADMIN and loses_admin and active_admins(session) == 1:
        raise Conflict("The last admin can't be removed.", code="last_admin")
    if role is not None:
        user.role = role
    if password is not None:
        user.password_hash = hashed(password)
    if active is not None:
        user.active = active
    session.flush()
    return user


def active_admins(session: Session) -> int:
    statement = select(func.count()).where(User.role == Role.ADMIN, User.active)
    return session.scalar(statement) or 0


def check_password(session: Session, name: str, password: str) -> User:
    """Return the user of this name and password; the same error whatever was wrong."""
    user = session.scalar(select(User).where(User.name == name, User.active))
    try:
        passwords.verify((user and user.password_hash) or NOBODY, password)
    except (VerificationError, InvalidHashError):
        user = None
    if user is None:
        raise Unauthenticated("The name or the password is wrong.", code="wrong_password")
    return user


def open_session(session: Session, user: User) -> tuple[BrowserSession, str]:
    """Open a browser session; return it and the secret of its cookie."""
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


def session_of(session: Session, secret: str) -> BrowserSession | None:
    """Return the open session of a cookie, if its user may still come in."""
    found = session.scalar(
        select(BrowserSession).where(
            BrowserSession.secret_sha256 == sha256(secret), BrowserSession.expires_at > now()
        )
    )
    return found if found and found.user.active else None


def create_token(session: Session, user: User, *, name: str) -> str:
    """Make an API token that acts as this user; it is shown once and kept as a hash."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    session.add(ApiToken(user_id=user.id, name=name, secret_sha256=sha256(token)))
    session.flush()
    return token


def create_program_token(session: Session, *, name: str, role: Role) -> str:
    """Make a token for a program, which acts as a user of its own name and role."""
    user = session.scalar(select(User).where(User.name == f"program {name}"))
    if user is not None and user.role != role:
        raise Conflict(
            f"The program {name} has the role {user.role} already; choose another name.",
            code="program_has_another_role",
        )
    user = user or create_user(session, name=f"program {name}", role=role)
    return create_token(session, user, name=name)


def user_of_token(session: Session, token: str) -> User | None:
    found = session.scalar(
        select(ApiToken).where(
            ApiToken.secret_sha256 == sha256(token), ApiToken.revoked_at.is_(None)
        )
    )
    return found.user if found and found.user.active else None


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
