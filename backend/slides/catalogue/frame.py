"""Between a slide's own places and those of QuPath: the one place that converts.

QuPath counts from the scanned part's corner (bounds.py). So do slides, and there is nothing to do;
but rows that were measured before count from the canvas' corner, and what is exchanged of them with
QuPath is moved.
"""

from typing import Any

from backend.kit.geometry import SizePx
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.reading.bounds import Bounds, bounds_of
from backend.slides.reading.reader import SlideUnreadable, open_slides, slide_path

Corner = tuple[int, int]


def corner(slide: Slide, settings: Settings) -> Corner:
    """Return where QuPath's origin lies in a slide's own level-0 px. Raise SlideUnreadable."""
    if slide.counts_from_bounds:
        return 0, 0
    return scanned_part(slide, settings).corner


def scanned_part(slide: Slide, settings: Settings) -> Bounds:
    """Read which part a file names; a pyramid made of it does not say it any more."""
    size: SizePx = slide.width or 0, slide.height or 0
    blob = Blobs(settings.blob_folder).path(slide.sha256)
    folder = settings.slide_folder / slide.sha256
    for path in (slide_path(slide, settings), blob, *sorted(folder.glob("*.mrxs"))):
        try:
            reader = open_slides.get(path, bounded=False)
        except SlideUnreadable:
            continue
        bounds = bounds_of(reader.properties, reader.dimensions)
        if reader.dimensions == size and bounds.size != size:
            return bounds
    return Bounds(0, 0, *size)


def moved(document: dict[str, Any], x: int, y: int) -> dict[str, Any]:
    """Return a FeatureCollection with every outline counted from another origin, at x, y."""
    for feature in document["features"]:
        for name in ("geometry", "nucleusGeometry"):
            if name in feature:
                feature[name]["coordinates"] = shifted(feature[name]["coordinates"], x, y)
    return document


def shifted(places: Any, x: int, y: int) -> Any:
    if places and not isinstance(places[0], list):
        return [round(places[0] - x, 2), round(places[1] - y, 2)]
    return [shifted(each, x, y) for each in places]
