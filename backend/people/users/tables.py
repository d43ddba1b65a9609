"""People, their sessions, API tokens and one-time sign-in links. Secrets are kept as sha256."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.kit.db.base import Base, EnumText, Identified, UtcDateTime, now, one_of


class Role(StrEnum):
    VIEWER = "viewer"
    PATHOLOGIST = "pathologist"
    ADMIN = "admin"


class User(Identified, Base):
    __tablename__ = "users"
    __table_args__ = (one_of("role", Role),)

    name: Mapped[str] = mapped_column(String(100), unique=True)
    full_name: Mapped[str | None] = mapped_column(
        String(200), doc="As it is printed under what the person signs."
    )
    role: Mapped[Role] = mapped_column(EnumText(Role))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    must_change_password: Mapped[bool] = mapped_column(
        default=False,
        server_default=false(),
        doc="Somebody else has set it: until it is changed the person may do nothing else.",
    )
    active: Mapped[bool] = mapped_column(default=True)


class BrowserSession(Identified, Base):
    __tablename__ = "browser_sessions"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(
        UtcDateTime, default=now, doc="To within a minute, when it was used last."
    )
    user: Mapped[User] = relationship(lazy="joined")


class ApiToken(Identified, Base):
    """A program's key; it acts as the user made for it."""

    __tablename__ = "api_tokens"
    __table_args__ = (one_of("role", Role),)

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role | None] = mapped_column(
        EnumText(Role), doc="The most that it may do; null: what its user may."
    )
    scopes: Mapped[list[str] | None] = mapped_column(doc="Null: all that its role allows.")
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    user: Mapped[User] = relationship(lazy="joined")


class SignInLink(Identified, Base):
    """The link that an embedded first start prints: good for one sign-in."""

    __tablename__ = "sign_in_links"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    secret_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
