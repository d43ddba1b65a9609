"""The service's own setting: labels of some slides, judged on another that is in hand unlabelled.

`python -m benchmarks.own_slide [--sets her2-core3 her2-core1 her2-eze10 phantom-lab]
[--methods …] [--seeds 2]`. A method learns from labelled crops of some sources and from images,
without labels, of the slide that it is judged on; a third source chooses the stopping moment and
the threshold. Each source of traced HER2 membranes with membranes in it is once the slide in hand;
its unlabelled images are the rest of its core or fields, none overlaps a judged crop. The phantom's
slides in hand are of another stain and scanner. The crops are read from MEMBRANA_TEST_DATA and
nothing of them is kept here; what they are worth stands in their README: one reader, few crops.
"""

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import openslide
from PIL import Image

from benchmarks.tables import DATA, PROTOCOL, RESULTS
from models.phantom.patches import SLIDE_PX, tissue_patches
from models.phantom.spec import PhantomSpec
from models.prediction import PATCH_PX
from models.stain import StainVectors, optical_density
from models.study.parts import TEST, TRAIN, UNLABELLED, VALIDATION

Pixels = npt.NDArray[np.uint8]
TRACED = DATA / "her2_membrane_traced"
METHODS = (
    *("supervised", "supervised-settled", "pixel-classifier-filters", "pixel-classifier-features"),
    *("mean-teacher", "eugmt-paper", "eugmt-plus", "supervised-lite0"),
)
LEFT_OUT = "imgher2"
"""Two thirds of this crop are undecided."""
NEGATIVE = "core0_aa"
"""Beside the validation source: what invents membranes is to be seen there, too."""
IN_HAND = 48
"""Unlabelled patches of a slide in hand, at most."""
GLASS, LEAST_TISSUE = 225, 0.5
TRACED_PX = PATCH_PX


@dataclass(frozen=True)
class InHand:
    """A source that is judged, the one that chooses, and the images that the former is cut from."""

    judged: str
    chooses: str
    images: tuple[str, ...]


SOURCES = {
    "her2-core3": InHand("core3_a", "core1_a", ("wsi_her2/tma_3plus.svs",)),
    "her2-core1": InHand("core1_a", "eze10", ("wsi_her2/tma_1plus_generic_mpp.tif",)),
    "her2-eze10": InHand(
        "eze10",
        "core1_a",
        ("her2_fields/EZEHER_10_4_Dos_Mas.jpg", "her2_fields/EZEHER_10_5_Dos_Mas.jpg"),
    ),
}
USUAL, CHOOSING, OTHER = range(4), range(4, 6), range(100, 102)
"""Seeds of the phantom's labelled slides, of those that choose, and of those in hand."""
SCORES = ("2+", "3+", "1+")
LABELLED_EACH, JUDGED_EACH = 3, 24
PHANTOM = "phantom-lab"


class Folder:
    """A set for `membrana benchmark` that is being written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[tuple[str, str, str]] = []
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)

    def add(self, name: str, group: str, part: str, image: Pixels, mask: Pixels | None) -> None:
        Image.fromarray(image).save(self.folder / "images" / f"{name}.png")
        if mask is not None:
            Image.fromarray(mask).save(self.folder / "masks" / f"{name}.png")
        self.lines.append((name, group, part))

    def options(self) -> list[str | Path]:
        """Write the tables; return the options of `membrana benchmark` that name the set."""
        for title, column in (("groups", 1), ("parts", 2)):
            with (self.folder / f"{title}.csv").open("w", newline="") as file:
                csv.writer(file).writerows((line[0], line[column]) for line in self.lines)
        words: list[str | Path] = []
        for name in ("images", "masks", "groups", "parts"):
            suffix = ".csv" if name in {"groups", "parts"} else ""
            words += [f"--{name}", self.folder / f"{name}{suffix}"]
        return words


def traced(source: InHand, into: Folder) -> None:
    """Write the traced crops by source, and what else the slide in hand shows."""
    boxes: dict[str, list[tuple[int, int]]] = {}
    with (TRACED / "crops.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name = row["name"]
            if name.startswith(LEFT_OUT):
                continue
            group = "eze10" if name.startswith("eze10") else name.rpartition("_")[0]
            part = TRAIN
            if group == source.judged:
                part = TEST
                boxes.setdefault(row["source file name"], []).append((int(row["x"]), int(row["y"])))
            elif group in {source.chooses, NEGATIVE}:
                part = VALIDATION
            mask = read(TRACED / "masks" / f"{name}.png").copy()
            mask[read(TRACED / "ignore" / f"{name}.png") > 0] = 127
            into.add(name, group, part, read(TRACED / "images" / f"{name}.png"), mask)
    crops = []
    for name in source.images:
        own = boxes.get(Path(name).name) or [box for each in boxes.values() for box in each]
        crops += list(around(whole(DATA / name), own))
    generator = np.random.default_rng(0)
    for number in np.sort(generator.permutation(len(crops))[:IN_HAND]):
        into.add(f"in-hand-{number:03d}", source.judged, UNLABELLED, crops[number], None)


def read(path: Path) -> Pixels:
    with Image.open(path) as opened:
        return np.asarray(opened, np.uint8)


def whole(path: Path) -> Pixels:
    if path.suffix == ".jpg":
        return read(path)
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


def around(image: Pixels, boxes: list[tuple[int, int]]) -> Iterator[Pixels]:
    """Yield the patches with tissue of an image's grid that overlap none of the boxes."""
    for top in range(0, image.shape[0] - PATCH_PX + 1, PATCH_PX):
        for left in range(0, image.shape[1] - PATCH_PX + 1, PATCH_PX):
            if any(abs(left - x) < TRACED_PX and abs(top - y) < TRACED_PX for x, y in boxes):
                continue
            patch = image[top : top + PATCH_PX, left : left + PATCH_PX]
            if (patch.mean(-1) < GLASS).mean() >= LEAST_TISSUE:
                yield patch


def phantom(into: Folder) -> None:
    """Write slides of one laboratory with labels, and two of another without."""
    for seed in (*USUAL, *CHOOSING):
        part, count = (TRAIN, LABELLED_EACH) if seed in USUAL else (VALIDATION, JUDGED_EACH // 2)
        spec = PhantomSpec(SLIDE_PX, SLIDE_PX, seed=seed, her2=SCORES[seed % 3])
        for number, (image, mask) in enumerate(tissue_patches(spec, count)):
            into.add(f"usual-{seed}-{number:02d}", f"slide-{seed}", part, image, mask)
    for seed in OTHER:
        spec = PhantomSpec(
            *(SLIDE_PX, SLIDE_PX),
            seed=seed,
            her2=SCORES[seed % 2],
            blur_um=0.4,
            noise=3.5,
            jpeg_quality=60,
        )
        for number, (image, mask) in enumerate(tissue_patches(spec, 2 * JUDGED_EACH)):
            # neighbours are drawn at random: every second one is judged
            judged = number % 2 == 0
            name, part = f"other-{seed}-{number:02d}", TEST if judged else UNLABELLED
            into.add(name, f"slide-{seed}", part, other_laboratory(image), mask if judged else None)


def other_laboratory(image: Pixels) -> Pixels:
    """Stain and light of another laboratory: redder and weaker DAB, darker blue, a warm lamp."""
    amounts = optical_density(image) @ StainVectors().unmixing()
    theirs = np.linalg.inv(
        StainVectors(haematoxylin=(0.58, 0.74, 0.34), dab=(0.22, 0.64, 0.73)).unmixing()
    )
    density = (amounts * (1.3, 0.7, 1.0)) @ theirs
    light = 240 * 10.0**-density * np.array((1.02, 0.98, 0.92))
    shown: Pixels = light.clip(0, 255).round().astype(np.uint8)
    return shown


WRITTEN: dict[str, Callable[[Folder], None]] = {
    **{name: partial(traced, source) for name, source in SOURCES.items()},
    PHANTOM: phantom,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(WRITTEN), choices=list(WRITTEN))
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", default="2")
    parser.add_argument("--into", type=Path, default=RESULTS / "tables" / "own_slide")
    arguments, more = parser.parse_known_args()
    if not TRACED.is_dir():
        parser.error(f"{TRACED} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    arguments.into.mkdir(parents=True, exist_ok=True)
    for name in arguments.sets:
        with TemporaryDirectory() as folder:
            written = Folder(Path(folder) / name)
            WRITTEN[name](written)
            command = [sys.executable, "-m", "worker.cli", "benchmark", *PROTOCOL]
            command += ["--name", name, *map(str, written.options()), "--positive", "255"]
            command += ["--methods", *arguments.methods, "--labelled", "1"]
            command += ["--seeds", arguments.seeds, "--jobs", "1", "--strong", "stain"]
            command += ["-o", str(arguments.into / f"{name}.json"), *more]
            subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
