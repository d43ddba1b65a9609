"""`membrana`: the service's commands, and those that work on folders without a service.

torch is imported when a command needs it, not before.
"""

from backend.cli import main
from worker.commands import agreement, benchmark, export, predict, report, score, segment, train

__all__ = [
    "agreement",
    "benchmark",
    "export",
    "main",
    "predict",
    "report",
    "score",
    "segment",
    "train",
]

if __name__ == "__main__":
    main()
