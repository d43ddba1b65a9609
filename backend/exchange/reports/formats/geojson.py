"""Regions and cells as GeoJSON that QuPath opens."""

import gzip
import json
from typing import Any

from backend.exchange.reports.format import File, Format, Gzipped, Source
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides


def write(source: Source) -> bytes | Gzipped:
    """Return what is kept; of a slide that counts from elsewhere than QuPath, moved."""
    stored = Gzipped.of(source, "geojson")
    slide = slides.get(source.session, source.report.slide_id)
    x, y = frame.corner(slide, source.settings)
    if not x and not y:
        return stored
    whole = frame.moved(json.loads(gzip.decompress(stored.path.read_bytes())), x, y)
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def urn_in(file: File) -> Any:
    member = file.document and file.document.get("membrana")
    return member.get("report") if isinstance(member, dict) else None


FORMAT = Format(write, urn_in)
