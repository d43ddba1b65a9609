"""How well masks agree with the truth (eugmt.md §6.3)."""

from models.metrics.counts import IGNORE, Counts, compare, ratio

__all__ = ["IGNORE", "Counts", "compare", "ratio"]
