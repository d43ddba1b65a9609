"""The nine classes of cells: their codes, and what they are called in words."""

from collections.abc import Mapping

CLASS_NAMES: Mapping[str, str] = {
    "N": "no staining",
    "FP": "faint, partial",
    "FC": "faint, complete",
    "WP": "weak, partial",
    "WC": "weak, complete",
    "MP": "moderate, partial",
    "MC": "moderate, complete",
    "IP": "intense, partial",
    "IC": "intense, complete",
}
CLASSES = tuple(CLASS_NAMES)
"""Codes in their order: measured classes are kept as an index into them."""
