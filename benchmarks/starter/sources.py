"""What the starter learns from and is judged on: traced crops by source, and Apache-2.0 cores.

A fold is a source with membranes and the negative ones that are held out with it. Weights that are
shipped may learn from pixels of Apache-2.0 alone; the crops of other licences judge them.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.own_slide import Pixels, around, other_laboratory, read, whole
from benchmarks.tables import DATA
from models.phantom.patches import SLIDE_PX, tissue_patches
from models.phantom.spec import PhantomSpec

TRACED = DATA / "her2_membrane_traced"
LEFT_OUT = "imgher2_1"
"""Two thirds of this crop are undecided."""
FOLDS = {
    "core3_a": ("core3_a", "core0_9b"),
    "core1_a": ("core1_a", "core2_a"),
    "eze10": ("eze10", "eze007_1", "eze002_5"),
}
"""The source that gives a fold its name, and the negative ones that are held out with it."""
ALWAYS = "core0_aa"
"""A negative core that no fold holds out."""
CORES = {
    "core3_a": "wsi_her2/tma_3plus.svs",
    "core1_a": "wsi_her2/tma_1plus_generic_mpp.tif",
    "core0_aa": "wsi_her2/tma_0_nompp.svs",
    "core2_a": "her2_tma_jpeg/2_726fa489-3deb-4d06-ae5c-8f20bd3f3025.jpg",
    "core0_9b": "her2_tma_jpeg/0_9b0f64d1-6785-49d9-b279-004b2deb8478.jpg",
}
"""The whole cores (Apache-2.0) that the crops of these sources were cut from."""
NEGATIVE = ("core0_aa", "core0_9b")
"""Scored 0: all of their tissue counts as background."""
EACH = 24
"""Patches without labels of a core, at most."""
MEMBRANE, IGNORE = 255, 127
PHANTOMS = {2000: "3+", 2001: "2+", 2002: "1+", 2003: "3+", 2004: "2+", 2005: "0+"}
"""Seeds and scores of synthetic slides; every second one is of another laboratory."""
PHANTOMS_EACH = 6


@dataclass(frozen=True, eq=False)
class Crop:
    """A traced crop. mask: uint8 (256, 256) of 0, 127 (undecided) and 255."""

    name: str
    source: str
    image: Pixels
    mask: Pixels
    box: tuple[str, int, int]

    @property
    def may_be_shipped(self) -> bool:
        return self.source in CORES


def source_of(name: str) -> str:
    """Return a crop's source; both fields of one case are one."""
    return "eze10" if name.startswith("eze10") else name.rpartition("_")[0]


@cache
def crops() -> tuple[Crop, ...]:
    """Read all traced crops but the one that is mostly undecided."""
    traced = []
    with (TRACED / "crops.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name = row["name"]
            if name.startswith(LEFT_OUT):
                continue
            mask = read(TRACED / "masks" / f"{name}.png").copy()
            mask[read(TRACED / "ignore" / f"{name}.png") > 0] = IGNORE
            box = (row["source file name"], int(row["x"]), int(row["y"]))
            image = read(TRACED / "images" / f"{name}.png")
            traced.append(Crop(name, source_of(name), image, mask, box))
    return tuple(traced)


@cache
def tissue_of(source: str) -> Pixels:
    """Return patches with tissue of a whole core, spread over it: (N, 256, 256, 3)."""
    boxes = [crop.box[1:] for crop in crops() if crop.source == source]
    tissue = list(around(whole(DATA / CORES[source]), [(x, y) for x, y in boxes]))
    drawn = np.random.default_rng(0).permutation(len(tissue))[:EACH]
    return np.stack([tissue[number] for number in np.sort(drawn)])


@cache
def phantoms() -> tuple[Pixels, Pixels]:
    """Return synthetic patches and their masks."""
    images, masks = [], []
    for seed, score in PHANTOMS.items():
        spec = PhantomSpec(SLIDE_PX, SLIDE_PX, seed=seed, her2=score)
        for image, mask in tissue_patches(spec, PHANTOMS_EACH):
            images.append(other_laboratory(image) if seed % 2 else image)
            masks.append(mask)
    return np.stack(images), np.stack(masks)


def held_out(folds: tuple[str, ...]) -> frozenset[str]:
    """Return all sources that some folds hold out."""
    return frozenset(source for fold in folds for source in FOLDS[fold])


@cache
def fold_of(name: str) -> tuple[Crop, ...]:
    """Return the crops that a fold is judged on."""
    return tuple(crop for crop in crops() if crop.source in FOLDS[name])


def inputs() -> Iterator[tuple[str, str]]:
    """Yield the path in the data folder and sha256 of every file that teaches or judges."""
    files = [DATA / path for path in CORES.values()]
    files += [TRACED / "crops.csv"]
    files += [
        TRACED / folder / f"{crop.name}.png"
        for crop in crops()
        for folder in ("images", "masks", "ignore")
    ]
    for path in sorted(files):
        yield str(path.relative_to(DATA)), sha256_of(path)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
