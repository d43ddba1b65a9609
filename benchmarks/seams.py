"""Seams: how much of the membrane changes where the tiles' borders lie, if the grid is moved.

`python -m benchmarks.seams [--weights FILE] [--check]`: real cores are predicted as they lie and
once more from half a patch further on, edge to edge in patches as everything was predicted before,
and in blended tiles (models/tiling.py). Counted are pixels within 20 px of a border whose membrane
comes or goes, in shares of the membrane there: at the patches' borders, and at the tiling's own.
The network is the shipped starter unless other weights are given. Goal: 2 % at patches' borders.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import openslide
from PIL import Image

from benchmarks.record import record
from models.blending import predict_region
from models.cold_start import ColdStart
from models.inference.choice import load
from models.prediction import PATCH_PX, Predictor
from models.starter import shipped
from models.tiling import BLENDED, EDGE_TO_EDGE, Tiling

Bool = npt.NDArray[np.bool_]
DATA = Path(os.environ.get("MEMBRANA_TEST_DATA", "../shared/data"))
CORES = (
    "wsi_her2/tma_3plus.svs",
    "her2_tma_jpeg/2_726fa489-3deb-4d06-ae5c-8f20bd3f3025.jpg",
    "wsi_her2/tma_1plus_generic_mpp.tif",
)
SIDE = 2560
NEAR = 20
GOAL = 0.02


def middle_of(core: Path) -> npt.NDArray[np.uint8]:
    """Read the middle of a core at its own resolution."""
    if core.suffix == ".jpg":
        with Image.open(core) as whole:
            left, top = ((side - SIDE) // 2 for side in whole.size)
            cut = whole.convert("RGB").crop((left, top, left + SIDE, top + SIDE))
            return np.asarray(cut).copy()
    with openslide.OpenSlide(core) as opened:
        width, height = opened.dimensions
        corner = (width - SIDE) // 2, (height - SIDE) // 2
        return np.asarray(opened.read_region(corner, 0, (SIDE, SIDE)))[..., :3].copy()


def near(borders: range, shape: tuple[int, ...]) -> Bool:
    """Return the pixels within NEAR px of borders that run along and across."""
    band = np.zeros(shape, np.bool_)
    for place in borders:
        low, high = max(0, place - NEAR), max(0, place + NEAR)
        band[low:high] = band[:, low:high] = True
    return band


def changed(
    predictor: Predictor, image: npt.NDArray[np.uint8], tiling: Tiling
) -> dict[str, list[int]]:
    """Return how many px of membrane come or go when the grid begins half a patch later, of how
    many px of membrane there.
    """
    half = PATCH_PX // 2
    here = predict_region(predictor, image, tiling=tiling).probability[0] >= 0.5
    moved = predict_region(predictor, image[half:, half:], tiling=tiling).probability[0] >= 0.5
    # the picture's own edges are no seams
    inner = slice(half, -half)
    here, moved = here[half:, half:][inner, inner], moved[inner, inner]
    middle = tiling.overlap // 2
    places = {
        "at_borders_of_patches": near(range(0, SIDE, PATCH_PX), here.shape),
        "at_its_own_borders": near(
            range(tiling.step + middle - 2 * half, SIDE, tiling.step), here.shape
        ),
        "everywhere": np.ones_like(here),
    }
    return {
        name: [int((here ^ moved)[place].sum()), int(here[place].sum())]
        for name, place in places.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="another network than the shipped starter")
    parser.add_argument("--check", action="store_true", help="exit 1 if the goal is missed")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as name:
        weights = arguments.weights or Path(name) / "starter.safetensors"
        if not arguments.weights:
            weights.write_bytes(shipped().weights)
        network = load(weights, threads=1)
        sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
        for core in CORES:
            image = middle_of(DATA / core)
            for title, predictor in (("network", network), ("stain rule", ColdStart())):
                row: dict[str, Any] = {"core": core, "predictor": title}
                for tiling in (EDGE_TO_EDGE, BLENDED):
                    row[tiling.name] = changed(predictor, image, tiling)
                print(row, flush=True)
                rows.append(row)
    shares = {
        title: {tiling.name: pooled(rows, title, tiling) for tiling in (EDGE_TO_EDGE, BLENDED)}
        for title in ("network", "stain rule")
    }
    worst = max(each[BLENDED.name]["at_borders_of_patches"] for each in shares.values())
    record(
        "seams",
        {
            "side_px": SIDE,
            "near_px": NEAR,
            "moved_px": PATCH_PX // 2,
            "backend": network.backend,
            "weights_sha256": sha256,
            "rows": rows,
            "shares": shares,
            "worst": worst,
            "goal": GOAL,
        },
    )
    if arguments.check and worst > GOAL:
        sys.exit(1)


def pooled(rows: list[dict[str, Any]], title: str, tiling: Tiling) -> dict[str, float]:
    """Return the shares over all cores, since one without membrane has no share of its own."""
    mine = [row[tiling.name] for row in rows if row["predictor"] == title]
    return {
        place: round(sum(each[place][0] for each in mine) / sum(each[place][1] for each in mine), 4)
        for place in mine[0]
    }


if __name__ == "__main__":
    main()
