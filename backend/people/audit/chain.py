"""The trail's chain: each entry holds the hash of the one before, and the end of it is signed."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from backend.kit.canonical import canonical

BEFORE_THE_FIRST = "0" * 64
BROKEN = "audit.end_changed"
"""What the service did not write: the end of the trail that it found before this entry."""
HEAD_SCHEMA = "membrana.audit_head/1"


def sha256_of(entry: Mapping[str, Any]) -> str:
    """Hash an entry's canonical JSON with its number and the hash of the entry before it.

    entry: by the names of the columns. Details are hashed as they come back from JSON.
    """
    content = {
        "number": entry["number"],
        "previous_sha256": entry["previous_sha256"],
        "id": entry["id"],
        "created_at": written(entry["created_at"]),
        "user_id": entry["user_id"],
        "action": entry["action"],
        "subject_type": entry["subject_type"],
        "subject_id": entry["subject_id"],
        "details": json.loads(json.dumps(entry["details"])),
    }
    return hashlib.sha256(canonical(content)).hexdigest()


def written(moment: datetime) -> str:
    """Write a moment in one way, whatever zone an engine gives it back in; to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def statement(number: int, sha256: str, at: datetime) -> dict[str, Any]:
    """Return what a signature of the head says."""
    return {"schema": HEAD_SCHEMA, "number": number, "sha256": sha256, "at": written(at)}
