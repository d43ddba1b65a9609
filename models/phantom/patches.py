"""`python -m models.phantom.patches DIR`: a set of synthetic patches with their true masks.

Each slide is another specimen: its own score, stain and seed. Images and masks are PNG files of
the same names, `groups.csv` names each patch's slide: what `membrana benchmark` reads.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.phantom.render import region
from models.phantom.spec import PhantomSpec
from models.prediction import PATCH_PX

Pixels = npt.NDArray[np.uint8]
SLIDE_PX = 4096
SCORES = ("2+", "3+", "1+")
GLASS = 225
"""A brighter pixel is glass."""
LEAST_TISSUE = 0.2


def tissue_patches(spec: PhantomSpec, count: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield up to `count` patches with tissue, drawn over the slide by its seed.

    Images uint8 (256, 256, 3) as a JPEG-compressed slide shows them, masks uint8 (256, 256).
    """
    rows, columns = spec.height // PATCH_PX, spec.width // PATCH_PX
    drawn = 0
    for place in np.random.default_rng(spec.seed).permutation(rows * columns).tolist():
        row, column = divmod(place, columns)
        patch = region(spec, column * PATCH_PX, row * PATCH_PX, PATCH_PX, PATCH_PX, jpeg=True)
        if (patch.image.mean(-1) < GLASS).mean() < LEAST_TISSUE:
            continue
        yield patch.image, patch.mask
        drawn += 1
        if drawn == count:
            return


def main(arguments: list[str] | None = None) -> int:
    """Write a set; 0 on success."""
    parser = argparse.ArgumentParser(prog="python -m models.phantom.patches", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to make; images/, masks/ and groups.csv")
    parser.add_argument("--slides", type=int, default=8)
    parser.add_argument("--patches", type=int, default=24, help="patches of a slide")
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first slide")
    asked = parser.parse_args(arguments)
    for folder in ("images", "masks"):
        (asked.out / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(asked.slides):
        score = SCORES[number % len(SCORES)]
        spec = PhantomSpec(width=SLIDE_PX, height=SLIDE_PX, seed=asked.seed + number, her2=score)
        for index, (image, mask) in enumerate(tissue_patches(spec, asked.patches)):
            name = f"synthetic-{spec.seed}-{index:03d}.png"
            Image.fromarray(image).save(asked.out / "images" / name)
            Image.fromarray(mask).save(asked.out / "masks" / name)
            rows.append((name, f"slide-{spec.seed}"))
    with (asked.out / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    sys.stdout.write(f"{asked.out}: {len(rows)} synthetic patches of {asked.slides} slides\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
