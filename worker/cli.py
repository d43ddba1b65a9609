"""`membrana`: the service's commands, and those that work on folders without a service.

torch is imported when a command needs it, not before.
"""

from backend.cli import main
from worker.commands import benchmark, report, score, train

__all__ = ["benchmark", "main", "report", "score", "train"]

if __name__ == "__main__":
    main()
