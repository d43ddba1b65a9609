"""The formats of masks. A new one is a file here, with its FORMAT, and its name in NAMES.

One that a job builds has its exporter in worker/exporters. GeoJSON, which comes back as well, has
an address of its own (geojson_routes.py).
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.exchange.masks.format import Format

NAMES = ("png", "coco", "ome-zarr", "dicom-seg")


@cache
def formats() -> "tuple[Format, ...]":
    """Load the formats: a command that only lists their names does without them."""
    return tuple(import_module(f"{__name__}.{name.replace('-', '_')}").FORMAT for name in NAMES)
