"""Write a phantom as a pyramidal TIFF with its truth beside it, in bounded memory.

Bands of tiles are drawn by a few threads and spooled to disk; libvips streams the pyramid from it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from models.phantom.cells import cells_in
from models.phantom.mark import LABEL
from models.phantom.render import pixels
from models.phantom.spec import CLASSES, PhantomSpec, score
from models.phantom.spool import Spool

_TILE_PX = 512
_BAND_PX = 512


@dataclass(frozen=True)
class Written:
    """Files of one phantom and the score its cells add up to."""

    slide: Path
    truth_mask: Path
    truth_json: Path
    score: str
    reason: str


def _bands(
    spec: PhantomSpec, threads: int
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    with ThreadPoolExecutor(threads) as pool:
        for top in range(0, spec.height, _BAND_PX):
            rows = min(_BAND_PX, spec.height - top)
            image = np.empty((rows, spec.width, 3), np.uint8)
            mask = np.empty((rows, spec.width), np.uint8)

            def draw(
                left: int, top: int = top, rows: int = rows, image: Any = image, mask: Any = mask
            ) -> None:
                columns = min(_TILE_PX, spec.width - left)
                tile = pixels(spec, left, top, columns, rows)
                image[:, left : left + columns], mask[:, left : left + columns] = tile

            list(pool.map(draw, range(0, spec.width, _TILE_PX)))
            yield image, mask


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _truth(spec: PhantomSpec) -> dict[str, Any]:
    cells = cells_in(spec, 0, 0, spec.width, spec.height)
    name, reason = score(cells.counts)
    return {
        "label": LABEL,
        "synthetic": True,
        "spec": asdict(spec),
        "spec_sha256": spec.sha256,
        "score": name,
        "reason": reason,
        "counts": cells.counts,
        "classes": list(CLASSES),
        "cells": {
            "x0": [round(float(v), 1) for v in cells.x0],
            "y0": [round(float(v), 1) for v in cells.y0],
            "class": cells.label.tolist(),
        },
    }


def write(
    spec: PhantomSpec,
    path: Path,
    truth_path: Path | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Written:
    """Write the slide to `path`, its truth to `truth_path` (default: `<stem>.truth.tif`) and JSON.

    The truth JSON lies beside the truth mask as `<stem>.truth.json`. Peak memory does not grow
    with the slide's height.
    """
    truth_path = truth_path or path.with_name(f"{path.stem}.truth.tif")
    json_path = truth_path.with_suffix(".json")
    size = spec.width, spec.height
    slide, truth = Spool(path, *size, 3), Spool(truth_path, *size, 1)
    note = {"label": LABEL, "synthetic": True, **asdict(spec)}
    try:
        done = 0
        for image, mask in _bands(spec, threads or min(8, os.cpu_count() or 1)):
            slide.append(image)
            truth.append(mask)
            done += len(image)
            if progress is not None:
                progress(done / spec.height)
        slide.save(note, spec.mpp, compression="jpeg", Q=spec.jpeg_quality)
        truth.save(note, spec.mpp, compression="deflate", region_shrink="nearest")
    finally:
        slide.discard()
        truth.discard()
    facts = _truth(spec)
    facts["slide_sha256"] = _sha256(path)
    facts["truth_mask_sha256"] = _sha256(truth_path)
    json_path.write_text(json.dumps(facts, separators=(",", ":")))
    return Written(path, truth_path, json_path, facts["score"], facts["reason"])


def truth_mask(
    truth_path: Path, x0: int, y0: int, width: int, height: int
) -> npt.NDArray[np.uint8]:
    """Read a level-0 box of a truth mask: uint8 (height, width) 0/255, 0 outside the slide."""
    image = pyvips.Image.new_from_file(str(truth_path), page=0)
    out = np.zeros((height, width), np.uint8)
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x0 + width, image.width), min(y0 + height, image.height)
    if right > left and bottom > top:
        box = image.crop(left, top, right - left, bottom - top).numpy()
        out[top - y0 : bottom - y0, left - x0 : right - x0] = box.reshape(bottom - top, -1)
    return out
