"""Masks in the COCO format: a patch is an image, and each connected membrane of it an object.

Membrane is polygons with `iscrowd` 0, so that it is trained on; a texture of too many holes is run
lengths with `iscrowd` 1. So is what is to be ignored, for which that is COCO's word: one annotation
a patch. A patch that somebody found empty is an image without annotations.
"""

import json
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.exchange.masks.archive import Entry
from backend.exchange.masks.coco_shapes import connected, run_lengths
from backend.exchange.masks.contents import Item
from backend.exchange.masks.format import Archive, Source
from backend.exchange.masks.geojson import VALUES, Drawing
from backend.exchange.masks.manifest import IN_MEMORY, PIECE, Manifest, row_of
from backend.slides.patches.grid import PATCH_PX

FILE = "annotations.json"
MEMBRANE, IGNORE = 1, 2
CATEGORIES = (
    {"id": MEMBRANE, "name": "membrane", "supercategory": "cell"},
    {"id": IGNORE, "name": "ignore", "supercategory": "none"},
)


def entries(source: Source) -> Iterator[Entry]:
    yield Entry(FILE, pieces(source.items, source.manifest))


def pieces(items: Iterator[Item], manifest: Manifest) -> Iterator[bytes]:
    """Yield the document: annotations as they come, then the images, kept aside meanwhile."""
    head = {"info": {"description": "Membrana: membrane masks"}, "categories": CATEGORIES}
    yield compact(head)[:-1] + b',"annotations":['
    number, comma = 0, b""
    with SpooledTemporaryFile(IN_MEMORY) as images:
        for image_id, item in enumerate(items, 1):
            manifest.note(item, file=FILE, image_id=image_id)
            images.write((b",\n" if image_id > 1 else b"") + compact(image_of(item, image_id)))
            mask = item.mask()
            for annotation in annotations_of(mask):
                number += 1
                yield comma + compact({"id": number, "image_id": image_id, **annotation})
                comma = b",\n"
        yield b'],"images":['
        images.seek(0)
        while piece := images.read(PIECE):
            yield piece
    yield b"]}\n"


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def image_of(item: Item, image_id: int) -> dict[str, Any]:
    size = {"width": PATCH_PX, "height": PATCH_PX}
    return {"id": image_id, **size, "file_name": f"{item.name}.png", "membrana": row_of(item)}


def annotations_of(mask: npt.NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a patch's mask, and what is to be ignored in it."""
    for shape in connected(mask == VALUES[Drawing.MEMBRANE]):
        yield {
            "category_id": MEMBRANE,
            # in COCO only polygons are single objects
            "iscrowd": int(isinstance(shape.segmentation, dict)),
            "area": shape.area,
            "bbox": shape.bbox,
            "segmentation": shape.segmentation,
        }
    ignored = mask == VALUES[Drawing.IGNORE]
    if ignored.any():
        rows, columns = np.flatnonzero(ignored.any(axis=1)), np.flatnonzero(ignored.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        yield {
            "category_id": IGNORE,
            "iscrowd": 1,
            "area": int(ignored.sum()),
            "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            "segmentation": run_lengths(ignored),
        }


FORMAT = Archive("coco", entries)
