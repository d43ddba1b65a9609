"""The formats of reports. A new one is a file here, with its FORMAT, and its name in NAMES.

What it needs that only pixels and cells can give is made by one of worker/exporters.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.exchange.reports.format import Format

NAMES = ("pdf", "html", "json", "csv", "tiles", "fhir", "geojson", "seg", "ann", "sr")


@cache
def formats() -> "tuple[Format, ...]":
    """Load the formats: a command that only lists their names does without them."""
    return tuple(import_module(f"{__name__}.{name}").FORMAT for name in NAMES)
