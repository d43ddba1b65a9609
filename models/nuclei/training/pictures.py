"""The pictures that teach: nuclei drawn (DSB 2018, phantoms) or marked by their middles (HER2).

Only pixels whose licence allows weights to be shipped: DSB 2018 is CC0, the HER2 cores Apache-2.0,
phantoms are our own. The EZEHER fields, `image_her2_00001`, MICCAI 2015 and DeepLIIF judge only.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from models.phantom.render import nucleus_mask, region
from models.phantom.spec import MIXES, PhantomSpec

Rgb = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
Label = npt.NDArray[np.int32]
Kind = Literal["drawn", "marked", "phantom"]

CORE_MPP = 0.22
PHANTOM_PX = 384
PHANTOMS = 90
GRAY = "nuclei_dsb2018_cervical_gray"
STAINED = "nuclei_dsb2018_hist"


@dataclass(frozen=True)
class Picture:
    """A picture with its nuclei.

    `labels` int32 (H, W) where they are drawn; else `marks` (n, 2), x and y px of their middles,
    and `membrane`, where no nucleus is. `chromatin` (H, W) is the density of a foreign stain, 0
    beside nuclei and about 1 within; `mpp` is then a guess, that a nucleus is 8 µm wide.
    """

    kind: Kind
    group: str
    mpp: float
    image: Rgb
    labels: Label | None = None
    chromatin: Float | None = None
    marks: npt.NDArray[np.float64] | None = None
    membrane: npt.NDArray[np.uint8] | None = None


def source_of(name: str) -> str:
    """Name the source of a marked crop, which is never split: `core3_a_04` is of `core3_a`."""
    group = name.rsplit("_", 1)[0]
    return "eze10" if group.startswith("eze10") else group


def marked(data: Path, without: Collection[str], files: "Files") -> Iterator[Picture]:
    """Yield the marked crops of licensed cores, but for the sources `without`."""
    for path in sorted((data / "her2_nuclei_marked").glob("core*.json")):
        group = source_of(path.stem)
        if group in without:
            continue
        crops = data / "her2_membrane_traced"
        marks = json.loads(files.read(path))
        image = files.picture(crops / "images" / f"{path.stem}.png")
        yield Picture(
            "marked",
            group,
            CORE_MPP,
            image,
            marks=np.array([(mark["x"], mark["y"]) for mark in marks], np.float64) + 0.5,
            membrane=files.labels(crops / "masks" / f"{path.stem}.png").astype(np.uint8),
        )


def stain_of(folder: str, name: str) -> str:
    """Name the source of a picture of DSB 2018: the stained ones are of two laboratories."""
    return f"{folder}:{name.partition('_')[0]}" if folder == STAINED else folder


def drawn(data: Path, without: Collection[str], files: "Files") -> Iterator[Picture]:
    """Yield the light-microscopic pictures of DSB 2018 (CC0), but for the sources `without`."""
    for folder in (STAINED, GRAY):
        for path in sorted((data / folder / "images").glob("*.png")):
            group = stain_of(folder, path.name)
            if group in without:
                continue
            image = files.picture(path)
            labels = files.labels(data / folder / "labels" / path.name)
            width = np.sqrt(np.median(np.bincount(labels[labels > 0])[1:]) * 4 / np.pi)
            yield Picture("drawn", group, 8.0 / width, image, labels, chromatin_of(image, labels))


def phantoms(seed: int, count: int = PHANTOMS) -> Iterator[Picture]:
    """Yield boxes of phantoms, each of another slide, with every nucleus that was drawn."""
    draw = np.random.default_rng([seed, 77])
    scores = list(MIXES)
    for number in range(count):
        spec = PhantomSpec(
            seed=90_000 + number,
            her2=scores[number % len(scores)],
            outline=False,
            cell_um=float(draw.uniform(9.5, 16)),
            stain_variation=float(draw.uniform(0.3, 1)),
            cytoplasm=float(draw.uniform(0.1, 0.9)),
            brown_nuclei=float(draw.uniform(0, 0.3)),
            out_of_focus=0.2,
        )
        box = (*(int(n) // 2 * 2 for n in draw.integers(0, 3000, 2)), PHANTOM_PX, PHANTOM_PX)
        image = region(spec, *box, jpeg=True).image
        _, labels = cv2.connectedComponents(nucleus_mask(spec, *box).astype(np.uint8))
        yield Picture("phantom", "phantom", spec.mpp, image, np.asarray(labels, np.int32))


def chromatin_of(image: Rgb, labels: Label) -> Float:
    """Density of the stain, 0 as beside nuclei and 1 as in their midst; float32 (H, W)."""
    density = -np.log10(np.maximum(image.astype(np.float32).mean(-1), 1) / 255)
    beside = float(np.median(density[labels == 0]))
    within = float(np.percentile(density[labels > 0], 70))
    contrast = (density - beside) / max(within - beside, 0.05)
    return np.asarray(np.clip(contrast, 0, 2), np.float32)


class Files:
    """Reads files and keeps the sha256 of each: what a training saw, for its card."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.sha256: dict[str, str] = {}

    def read(self, path: Path) -> bytes:
        content = path.read_bytes()
        self.sha256[str(path.relative_to(self.data))] = hashlib.sha256(content).hexdigest()
        return content

    def picture(self, path: Path) -> Rgb:
        coded = np.frombuffer(self.read(path), np.uint8)
        bgr = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(bgr[..., ::-1])

    def labels(self, path: Path) -> Label:
        coded = np.frombuffer(self.read(path), np.uint8)
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.int32)
