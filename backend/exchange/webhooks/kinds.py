"""Of what webhooks are told."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from backend.job_kinds import JobKind


class WebhookEvent(StrEnum):
    SLIDE_READY = "slide.ready"
    SLIDE_NEEDS_MPP = "slide.needs_mpp"
    SLIDE_FAILED = "slide.failed"
    SLIDE_DELETED = "slide.deleted"
    ANNOTATION_SAVED = "annotation.saved"
    PATCH_APPROVED = "patch.approved"
    PATCH_RETURNED = "patch.returned"
    ROUND_PROMOTED = "round.promoted"
    ROUND_KEPT_BACK = "round.kept_back"
    ROUND_NOT_JUDGED = "round.not_judged"
    ROUND_ABANDONED = "round.abandoned"
    MODEL_VERSION_ACTIVE = "model_version.active"
    REPORT_DRAFT = "report.draft"
    REPORT_SIGNED = "report.signed"
    REPORT_FAILED = "report.failed"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"


PING = "ping"
"""Sent when somebody asks for it, to every webhook."""
WITHOUT_STATE = {"annotation": "saved"}
HOUSEKEEPING = frozenset({JobKind.DELIVER, JobKind.CLEANUP})
"""Jobs that nobody is told of: a delivery that told of deliveries would never end."""
LEFT_OUT = frozenset({"state", "message", "progress"})
"""What an announcement says to a progress bar."""


def kind_of(topic: str, data: Mapping[str, Any]) -> WebhookEvent | None:
    """Return which event an announcement is; None for what is no news outside."""
    if topic == "job" and data.get("kind") in HOUSEKEEPING:
        return None
    name = f"{topic}.{WITHOUT_STATE.get(topic) or data.get('state')}"
    return WebhookEvent(name) if name in set(WebhookEvent) else None


def facts_of(subject_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a delivery says of its subject: ids and words of the contract, no pixels."""
    return {"id": subject_id} | {key: data[key] for key in data if key not in LEFT_OUT}
