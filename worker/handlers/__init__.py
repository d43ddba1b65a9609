"""Which module does which job; loaded when first needed, so ingest never waits for torch."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from backend.job_kinds import JobKind

if TYPE_CHECKING:
    from worker.context import JobContext

MODULES: Mapping[JobKind, str] = {
    JobKind.INGEST: "worker.handlers.ingest",
    JobKind.PREDICT: "worker.handlers.predict",
    JobKind.PREDICT_VIEWPORT: "worker.handlers.predict",
    JobKind.TRAIN: "worker.handlers.train",
    JobKind.AUDIT_LABELS: "worker.handlers.audit_labels",
    JobKind.REPORT: "worker.handlers.report",
    JobKind.VERIFY_REPORT: "worker.handlers.verify_report",
    JobKind.SCORE: "worker.handlers.score",
    JobKind.EXPORT: "worker.handlers.export",
    JobKind.IMPORT: "worker.handlers.import_masks",
    JobKind.DELIVER: "worker.handlers.deliver",
    JobKind.CLEANUP: "worker.handlers.cleanup",
}


def handler_of(kind: JobKind) -> Callable[["JobContext"], None]:
    return cast("Callable[[JobContext], None]", import_module(MODULES[kind]).run)
