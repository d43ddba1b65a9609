"""Requests that may be sent twice: an Idempotency-Key names one request of one person for ever."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.jobs.tables import Job
from backend.kit.errors import Conflict


class IdempotencyKeyReused(Conflict):
    code, title = "idempotency_key_reused", "This Idempotency-Key is taken"


@dataclass(frozen=True)
class IdempotencyKey:
    """A key as it is stored: never a person's own words, which could be those of another's.

    request_sha256: of the request's address and body; None where the service asks itself.
    """

    key: str
    request_sha256: str | None = None


def same_request(session: Session, idempotency_key: IdempotencyKey | None) -> Job | None:
    """Return the job that this request made before; raise if the key came with another one."""
    if idempotency_key is None:
        return None
    job = session.scalar(select(Job).where(Job.idempotency_key == idempotency_key.key))
    if job is not None and job.request_sha256 != idempotency_key.request_sha256:
        raise IdempotencyKeyReused(
            "You have sent this Idempotency-Key with another request. Send a new key with a new "
            "request; the same key only with the very same one."
        )
    return job
