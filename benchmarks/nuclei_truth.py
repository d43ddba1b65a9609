"""Pictures with known nuclei, and how well a detector finds them: one-to-one, within 12 px.

The rule is that of her2_nuclei_marked: Hungarian, within 12 px of 0.22 µm (2.64 µm elsewhere);
what is matched to a mark of class `edge`, or lies within 6 px of the border, is left out. Of the
marked crops the nuclei of the class `tumour` count; what is matched to an `other` one is neither
right nor wrong.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from models.her2.nuclei import NUCLEI_MPP, Detector, View, measure_nuclei
from models.her2.pixels import ANALYSIS_MPP, Field
from models.nuclei.training.pictures import Files, source_of, stain_of

REACH_UM = 12 * 0.22
RIM_UM = 6 * 0.22
LEAST_UM2 = 8.0
NUCLEUS_UM = 8.0
"""How wide half of the nuclei are where a set does not say what its pixels are."""
Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """A picture and the middles of its nuclei, px (n, 2) x and y; class of each, and cells."""

    name: str
    group: str
    mpp: float
    image: npt.NDArray[np.uint8]
    places: Places
    classes: npt.NDArray[np.str_]
    judged: npt.NDArray[np.intp]
    """Of the places those that are middles of whole cells judged by eye."""
    ringed: npt.NDArray[np.intp]
    """Of those the ones with a complete, moderate or intense membrane."""


@dataclass(frozen=True)
class Tally:
    """Counts of one or more pictures."""

    tumour: int = 0
    hit: int = 0
    false: int = 0
    other: int = 0
    other_hit: int = 0
    judged: int = 0
    judged_hit: int = 0
    ringed: int = 0
    ringed_hit: int = 0
    merged: int = 0
    """Tumour nuclei that share a contour with another marked nucleus."""

    def __add__(self, more: "Tally") -> "Tally":
        return Tally(
            *(a + b for a, b in zip(vars(self).values(), vars(more).values(), strict=True))
        )

    @property
    def recall(self) -> float:
        return self.hit / max(self.tumour, 1)

    @property
    def precision(self) -> float:
        return self.hit / max(self.hit + self.false, 1)

    @property
    def f1(self) -> float:
        return 2 * self.hit / max(self.tumour + self.hit + self.false, 1)

    @property
    def strict_f1(self) -> float:
        """F1 where a detected nucleus of another kind counts as wrong."""
        return 2 * self.hit / max(self.tumour + self.hit + self.false + self.other_hit, 1)


def marked(data: Path) -> Iterator[Known]:
    """Yield the marked crops."""
    fields = "eze", "imgher2"
    for path in sorted((data / "her2_nuclei_marked").glob("*.json")):
        crop = data / "her2_membrane_traced" / "images" / f"{path.stem}.png"
        marks = json.loads(path.read_bytes())
        cells = data / "her2_cells_judged" / path.name
        judged = json.loads(cells.read_bytes()) if cells.exists() else []
        whole = [cell for cell in judged if cell["completeness"] != "cut"]
        strong = [
            cell
            for cell in whole
            if cell["completeness"] == "complete" and cell["intensity"] in {"moderate", "intense"}
        ]
        yield Known(
            path.stem,
            source_of(path.stem),
            0.25 if path.stem.startswith(fields) else 0.22,
            Files(data).picture(crop),
            np.array([(mark["x"] + 0.5, mark["y"] + 0.5) for mark in marks]),
            np.array([mark["class"] for mark in marks]),
            *(np.array([cell["i"] for cell in cells], np.intp) for cells in (whole, strong)),
        )


def labelled(data: Path) -> Iterator[Known]:
    """Yield the open sets of outlined nuclei: DSB 2018, MICCAI 2015 and DeepLIIF."""
    for folder in ("nuclei_dsb2018_hist", "nuclei_dsb2018_cervical_gray", "nuclei_miccai15"):
        for path in sorted((data / folder / "images").glob("*.png")):
            labels = Files(data).labels(data / folder / "labels" / path.name)
            group = stain_of(folder, path.name)
            yield _outlined(path.stem, group, Files(data).picture(path), labels)
    for path in sorted((data / "ihc_nuclear_deepliif").glob("*_ihc.png")):
        truth = Files(data).picture(path.with_name(path.name.replace("_ihc", "_gt")))
        inside = (np.maximum(truth[..., 0], truth[..., 2]) > 100) & (truth[..., 1] < 100)
        parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1]
        labels = np.asarray(parts, np.int32)
        yield _outlined(path.stem, "ihc_nuclear_deepliif", Files(data).picture(path), labels)


def _outlined(name: str, group: str, image: np.ndarray, labels: np.ndarray) -> Known:
    size = np.bincount(labels.ravel())[1:]
    mpp = NUCLEUS_UM / float(np.sqrt(np.median(size[size > 20]) * 4 / np.pi))
    flat = np.flatnonzero(labels)
    number = labels.ravel()[flat]
    many = np.bincount(number)
    real = many * mpp * mpp > LEAST_UM2
    row, col = np.divmod(flat, labels.shape[1])
    middle = [np.bincount(number, place)[real] / many[real] + 0.5 for place in (col, row)]
    places = np.stack(middle, axis=1)
    classes = np.full(len(places), "tumour")
    classes[_near_border(places, image.shape, RIM_UM / mpp)] = "edge"
    nothing = np.zeros(0, np.intp)
    return Known(name, group, mpp, image, places, classes, nothing, nothing)


def _near_border(places: Places, shape: tuple[int, ...], rim: float) -> npt.NDArray[np.bool_]:
    x, y = places.T
    near = (np.minimum(x, y) < rim) | (x > shape[1] - rim) | (y > shape[0] - rim)
    return np.asarray(near, np.bool_)


def labels_of(known: Known, detector: Detector) -> npt.NDArray[np.int32]:
    """Label nuclei as a score of this picture would: int32 (H, W) at NUCLEI_MPP."""
    field = Field(known.image, known.mpp)
    width, height = (int(np.ceil(n * known.mpp / NUCLEI_MPP)) for n in (field.width, field.height))
    fine = field.read(0, 0, 2 * width, 2 * height, ANALYSIS_MPP)
    image = np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return detector(View(field, 0, 0, image))


def tally(known: Known, labels: npt.NDArray[np.int32]) -> Tally:
    """Match the nuclei of a label map at NUCLEI_MPP with the known ones."""
    nothing = np.zeros(labels.shape, np.float32)
    nuclei = measure_nuclei(labels, nothing, NUCLEI_MPP)
    nuclei = nuclei.take(nuclei.area_um2 >= LEAST_UM2)
    scale = NUCLEI_MPP / known.mpp
    detections = np.stack([nuclei.col + 0.5, nuclei.row + 0.5], axis=1) * scale
    return matched(known, detections, labels)


def matched(known: Known, detections: Places, labels: npt.NDArray[np.int32]) -> Tally:
    reach = REACH_UM / known.mpp
    apart = np.hypot(*(detections[:, None] - known.places[None]).transpose(2, 0, 1))
    cost = np.where(apart <= reach, apart, 1e6)
    rows, cols = linear_sum_assignment(cost)
    good = apart[rows, cols] <= reach
    rows, cols = rows[good], cols[good]
    kind = known.classes
    free = np.ones(len(detections), np.bool_)
    free[rows] = False
    free &= ~_near_border(detections, known.image.shape, RIM_UM / known.mpp)
    hits = np.zeros(len(kind), np.bool_)
    hits[cols] = True
    tumour, other = kind == "tumour", kind == "other"
    at = np.floor(known.places * (known.mpp / NUCLEI_MPP)).astype(np.intp)
    under = labels[at[:, 1].clip(0, labels.shape[0] - 1), at[:, 0].clip(0, labels.shape[1] - 1)]
    many = np.bincount(under, minlength=1)
    together = (under > 0) & (many[under] > 1)
    return Tally(
        int(tumour.sum()),
        int((tumour & hits).sum()),
        int(free.sum()),
        int(other.sum()),
        int((other & hits).sum()),
        len(known.judged),
        int(hits[known.judged].sum()),
        len(known.ringed),
        int(hits[known.ringed].sum()),
        int((tumour & together).sum()),
    )
