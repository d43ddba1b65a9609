"""The worst crop of each licensed core as a picture: outlines that were found, middles marked."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.nuclei_truth import Known, tally
from models.her2.nuclei import NUCLEI_MPP

ENLARGED = 2
COLOURS = {"tumour": (0, 200, 0), "other": (200, 0, 200), "edge": (230, 200, 0)}
OUTLINE = (0, 220, 255)
Judged = tuple[Known, npt.NDArray[np.int32]]


def worst(crops: Iterable[Judged]) -> list[Judged]:
    """Return of each core the crop with most nuclei missed or wrong."""

    def wrong(each: Judged) -> int:
        counts = tally(*each)
        return counts.tumour - counts.hit + counts.false

    by_source: dict[str, Judged] = {}
    for each in crops:
        source = each[0].group
        if source.startswith("core") and each[0].judged.size:
            before = by_source.get(source)
            by_source[source] = each if before is None else max(before, each, key=wrong)
    return list(by_source.values())


def write(path: Path, crops: Iterable[Judged]) -> None:
    """Write the worst crops beside each other; green is a marked tumour nucleus."""
    rows = [drawn(*each) for each in worst(crops)]
    half = (len(rows) + 1) // 2
    rows += [np.full_like(rows[0], 255)] * (2 * half - len(rows))
    sheet = np.vstack([np.hstack(rows[:half]), np.hstack(rows[half:])])
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def drawn(known: Known, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    picture = cv2.resize(known.image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    height, width = picture.shape[:2]
    scale = known.mpp / NUCLEI_MPP / ENLARGED
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * scale).astype(np.intp), side - 1)
        for n, side in zip((height, width), labels.shape, strict=True)
    )
    fine = labels[np.ix_(rows, cols)].astype(np.float32)
    edge = np.asarray(cv2.morphologyEx(fine, cv2.MORPH_GRADIENT, np.ones((3, 3)))) > 0
    picture[edge] = OUTLINE
    for (x, y), kind in zip(known.places, known.classes, strict=True):
        centre = round(x * ENLARGED), round(y * ENLARGED)
        cv2.circle(picture, centre, 4, COLOURS[str(kind)], -1)
    cv2.putText(picture, known.name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
    return np.asarray(picture, np.uint8)
