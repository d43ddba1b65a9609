"""What kinds of work there are: by which queue each goes, and how long it may take.

Below the settings, which name kinds, and so below everything.
"""

from collections.abc import Mapping
from enum import StrEnum


class JobKind(StrEnum):
    INGEST = "ingest"
    PREDICT = "predict"
    PREDICT_VIEWPORT = "predict_viewport"
    TRAIN = "train"
    AUDIT_LABELS = "audit_labels"
    REPORT = "report"
    VERIFY_REPORT = "verify_report"
    SCORE = "score"
    EXPORT = "export"
    IMPORT = "import"
    DELIVER = "deliver"
    CLEANUP = "cleanup"


class Queue(StrEnum):
    INTERACTIVE = "interactive"
    GPU = "gpu"
    CPU = "cpu"


QUEUE_OF: Mapping[JobKind, Queue] = {
    JobKind.INGEST: Queue.CPU,
    JobKind.PREDICT: Queue.GPU,
    JobKind.PREDICT_VIEWPORT: Queue.INTERACTIVE,
    JobKind.TRAIN: Queue.GPU,
    JobKind.AUDIT_LABELS: Queue.GPU,
    JobKind.REPORT: Queue.CPU,
    JobKind.VERIFY_REPORT: Queue.CPU,
    # somebody looks at it
    JobKind.SCORE: Queue.INTERACTIVE,
    JobKind.EXPORT: Queue.CPU,
    JobKind.IMPORT: Queue.CPU,
    JobKind.DELIVER: Queue.CPU,
    JobKind.CLEANUP: Queue.CPU,
}

HOURS: Mapping[JobKind, float] = {
    JobKind.INGEST: 12,
    JobKind.PREDICT: 48,
    JobKind.PREDICT_VIEWPORT: 0.5,
    JobKind.TRAIN: 168,
    JobKind.AUDIT_LABELS: 168,
    JobKind.REPORT: 12,
    JobKind.VERIFY_REPORT: 12,
    JobKind.SCORE: 2,
    JobKind.EXPORT: 2,
    JobKind.IMPORT: 0.5,
    JobKind.DELIVER: 0.1,
    JobKind.CLEANUP: 2,
}
"""How long one try may take at most, unless `job_hours` says otherwise: what hangs must end."""

APART = frozenset({JobKind.INGEST, JobKind.IMPORT})
"""Kinds that read what nobody has read before: in a process of their own, which may die."""
STARTING_SECONDS = 60.0
"""What such a process may take to begin, beside its time."""

WITHOUT_ROW = frozenset(
    {
        JobKind.PREDICT,
        JobKind.PREDICT_VIEWPORT,
        JobKind.VERIFY_REPORT,
        JobKind.EXPORT,
        JobKind.DELIVER,
        JobKind.CLEANUP,
    }
)
"""Kinds whose job is all that tells how they ended: no other row waits to hear of a failure."""
