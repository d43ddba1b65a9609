"""Masks in the COCO format: a patch is an image, its membrane one annotation as uncompressed RLE.

COCO's polygons know no holes, and a membrane is a net of them; run lengths keep every pixel. Such
annotations have `iscrowd` 1. A patch that somebody found empty is an image without annotations.
"""

import json
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.exports.archive import Entry
from backend.exports.contents import Item
from backend.exports.manifest import IN_MEMORY, PIECE, Manifest, said_of
from backend.patches.grid import PATCH_PX

FILE = "annotations.json"
CATEGORIES = (
    {"id": 1, "name": "membrane", "supercategory": "cell"},
    {"id": 2, "name": "ignore", "supercategory": "none"},
)
VALUES = {1: 255, 2: 127}


def entries(items: Iterator[Item], manifest: Manifest) -> Iterator[Entry]:
    yield Entry(FILE, pieces(items, manifest))


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
            for category, value in VALUES.items():
                inside = mask == value
                if inside.any():
                    number += 1
                    yield comma + compact(annotation_of(inside, number, image_id, category))
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
    return {"id": image_id, **size, "file_name": f"{item.name}.png", "membrana": said_of(item)}


def annotation_of(
    inside: npt.NDArray[np.bool_], number: int, image_id: int, category: int
) -> dict[str, Any]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "iscrowd": 1,
        "area": int(inside.sum()),
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "segmentation": {"size": list(inside.shape), "counts": run_lengths(inside)},
    }


def run_lengths(inside: npt.NDArray[np.bool_]) -> list[int]:
    """Return how many pixels are out, in, out, … down the columns; the first may be 0."""
    flat = inside.ravel(order="F")
    turns = np.flatnonzero(np.diff(flat, prepend=False))
    counts: list[int] = np.diff(turns, prepend=0, append=flat.size).tolist()
    return counts
