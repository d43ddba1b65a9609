"""Regions and cells as GeoJSON that QuPath opens."""

import gzip
import json
from typing import Any

from backend.exchange.reports.format import File, Format, Gzipped, Source
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides


def write(source: Source) -> bytes | Gzipped:
    """Return what is kept; of a slide that counts from elsewhere than QuPath, moved."""
    kept = Gzipped.of(source, "geojson")
    slide = slides.get(source.session, source.report.slide_id)
    x, y = frame.corner(slide, source.settings)
    if not x and not y:
        return kept
    whole = frame.moved(json.loads(gzip.decompress(kept.path.read_bytes())), x, y)
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def urn_in(file: File) -> Any:
    said = file.document and file.document.get("membrana")
    return said.get("report") if isinstance(said, dict) else None


FORMAT = Format(
    name="geojson",
    ending="geojson",
    media_type="application/geo+json",
    write=write,
    urn_in=urn_in,
    may_be_gzipped=True,
)
