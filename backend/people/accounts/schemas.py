"""What goes in and out at sign-in, users and tokens."""

from datetime import datetime
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from backend.people.users.scopes import Scope
from backend.people.users.tables import Role

Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
FullName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
    Field(description="As it is printed under a signature: with title, first and last name."),
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class Credentials(BaseModel, extra="forbid"):
    """A name and a password, or the secret of a one-time link."""

    username: str | None = Field(None, max_length=100)
    password: Password | None = None
    link: str | None = Field(None, max_length=200)

    @model_validator(mode="after")
    def one_way_in(self) -> "Credentials":
        if self.link is None and (self.username is None or self.password is None):
            raise ValueError("Send a username and a password, or a link.")
        return self


class Person(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    username: str = Field(validation_alias="name")
    full_name: str | None
    role: Role
    active: bool
    must_change_password: bool
    created_at: datetime


class SignedIn(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user: Person
    csrf_token: str


class NewUser(BaseModel, extra="forbid"):
    username: Name
    role: Role
    password: Password
    full_name: FullName | None = None


class OwnProfile(BaseModel, extra="forbid"):
    """What people say of themselves."""

    full_name: FullName


class UserChange(BaseModel, extra="forbid"):
    role: Role | None = None
    active: bool | None = None
    password: Password | None = None
    full_name: FullName | None = None


class PasswordChange(BaseModel, extra="forbid"):
    """One's own. Without `old_password`: of who has signed in by a link and has none yet."""

    old_password: Password | None = None
    new_password: Password


class PasswordReset(BaseModel, extra="forbid"):
    """Another's, who has to change it at the next sign-in."""

    password: Password


class NewToken(BaseModel, extra="forbid"):
    name: Name
    role: Role | None = Field(
        None, description="The most that it may do; left out: what the caller may."
    )
    scopes: Annotated[list[Scope], Field(min_length=1)] | None = Field(
        None, description="What it may be used for; left out: all that its role allows."
    )
    expires_at: AwareDatetime | None = None


class Token(BaseModel):
    """Shown once."""

    name: str
    token: str
    role: Role
    scopes: list[Scope] | None
    expires_at: datetime | None


class TokenOut(BaseModel):
    """A token as it is listed: never its text."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    role: Role | None
    scopes: list[Scope] | None
    expires_at: datetime | None
    created_at: datetime
