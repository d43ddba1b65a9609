"""The formats of masks. A new one is a file here, with its FORMAT, and its line in MEDIA_TYPES.

One that a job builds has its exporter in worker/exporters. GeoJSON, which comes back as well, has
an address of its own (geojson_routes.py).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.exchange.masks.format import Format

MEDIA_TYPES = {
    "png": "application/zip",
    "coco": "application/zip",
    "ome-zarr": "application/zip",
    "dicom-seg": "application/dicom",
}
NAMES = tuple(MEDIA_TYPES)


def load(name: str) -> "Format":
    """Return a format; its file is loaded with its first use."""
    form: Format = import_module(f"{__name__}.{name.replace('-', '_')}").FORMAT
    return form
