"""`membrana`: the service's commands, and those that work on folders without a service.

torch is imported when a command needs it, not before.
"""

from backend.cli import main
from worker.commands import (
    agreement,
    audit,
    backup,
    benchmark,
    export,
    models,
    predict,
    report,
    score,
    segment,
    train,
)

__all__ = [
    "agreement",
    "audit",
    "backup",
    "benchmark",
    "export",
    "main",
    "models",
    "predict",
    "report",
    "score",
    "segment",
    "train",
]

if __name__ == "__main__":
    main()
