"""Errors a person can act on: each knows its HTTP status and a stable code (RFC 9457).

And the status of a command that ends with it.
"""

import errno
from collections.abc import Mapping
from typing import Any, ClassVar

FAILED, WRONG_USE = 1, 2
"""Exit statuses: the work failed; what was typed or set is wrong, and nothing was begun."""


class MembranaError(Exception):
    """Base of every error shown to people. `extra` adds members to the problem document.

    `exit_status`: of a command that ends with it.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "The service failed"
    exit_status: ClassVar[int] = FAILED

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.detail = detail
        self.problem_code = code or type(self).code
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The `application/problem+json` body."""
        return {
            "type": f"urn:membrana:problem:{self.problem_code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.problem_code,
            **self.extra,
        }


class BadRequest(MembranaError):
    status, code, title = 400, "bad_request", "The request can't be understood"


class Unauthenticated(MembranaError):
    status, code, title = 401, "not_signed_in", "Sign in first"


class Forbidden(MembranaError):
    status, code, title = 403, "not_allowed", "Your role does not allow this"


class NotFound(MembranaError):
    status, code, title = 404, "not_found", "There is no such thing here"


class Conflict(MembranaError):
    status, code, title = 409, "conflict", "The present state does not allow this"


class Gone(MembranaError):
    status, code, title = 410, "gone", "This is no longer here"


class PreconditionFailed(MembranaError):
    status, code, title = 412, "stale", "Somebody changed this meanwhile"


class TooLarge(MembranaError):
    status, code, title = 413, "too_large", "This is larger than the installation allows"


class UnsupportedMedia(MembranaError):
    status, code, title = 415, "unsupported_media_type", "This kind of content is not taken here"


class Unprocessable(MembranaError):
    status, code, title = 422, "invalid", "The content is not valid"


class PreconditionRequired(MembranaError):
    status, code, title = 428, "precondition_required", "Say which version you change"


class TooManyRequests(MembranaError):
    status, code, title = 429, "too_many_requests", "Too many tries; wait a little"


class Unavailable(MembranaError):
    status, code, title = 503, "unavailable", "A part of the service is not ready"


class NoSpace(MembranaError):
    status, code, title = 507, "no_space", "The disk is too full"


class DatabaseBusy(Unavailable):
    code, title = "database_busy", "The database is busy"


DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
SQLITE_FULL, POSTGRESQL_FULL = 13, "53100"
SQLITE_BUSY, SQLITE_LOCKED = 5, 6
POSTGRESQL_BUSY = frozenset({"40001", "40P01", "53300", "55P03", "57014", "57P01", "57P03"})
"""Two who waited for each other, too many connections, a lock or a statement that took too long, a
server that stops or starts."""


def is_disk_full(error: BaseException) -> bool:
    """Say whether a file or a database could not be written for want of room."""
    if isinstance(error, OSError):
        return error.errno in DISK_FULL
    cause = getattr(error, "orig", None)
    return (
        getattr(cause, "sqlite_errorcode", None) == SQLITE_FULL
        or getattr(cause, "sqlstate", None) == POSTGRESQL_FULL
    )


def is_database_busy(error: BaseException) -> bool:
    """Say whether a database could not answer this time, and may the next."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        # the upper bits say more of the same
        return code & 0xFF in {SQLITE_BUSY, SQLITE_LOCKED}
    sqlstate = getattr(cause, "sqlstate", None)
    # psycopg knows no state of a server that could not be reached
    return sqlstate is None or sqlstate in POSTGRESQL_BUSY or sqlstate.startswith("08")
