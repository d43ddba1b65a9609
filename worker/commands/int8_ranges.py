"""Eight bits on the command line: ranges taken once from images, kept beside the weights."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.cli import complain
from models.her2.pixels import ANALYSIS_MPP, Field, scaled
from models.prediction import PATCH_PX
from worker.commands.image_files import Picture, read_picture
from worker.commands.options import Refused, written

if TYPE_CHECKING:
    from models.inference.calibration import Calibration

Pixels = npt.NDArray[np.uint8]


def place_of(model: Path) -> Path:
    """Return where the ranges of a file of weights lie."""
    return model.with_name(f"{model.name}.ranges.json")


def calibration_of(model: Path, images: list[Path], mpp: float | None) -> "Calibration":
    """Return the ranges of saved weights, and print what int8 costs with them.

    images: taken from these, if they are not there yet; refused if they are there of others.
    """
    from models.inference.choice import check_precision, check_weights

    check_precision("int8", "auto")
    ranges = place_of(model)
    if not images and not ranges.exists():
        raise Refused(
            "int8 needs the ranges of the network's values: give --calibration once, a "
            f"folder of images like those to come. They stay in {ranges}.",
            code="ranges_missing",
        )
    patches = patches_of(images, mpp) if images else None
    if not ranges.exists():
        assert patches is not None, "what was not given was refused"
        write(ranges, model, patches)
    calibration, costs = read(ranges)
    check_weights(calibration, model)
    if patches is not None:
        check_patches(calibration, patches, ranges)
    complain(f"{model.name} in int8: {costs['int8']}")
    return calibration


def read(ranges: Path) -> tuple["Calibration", dict[str, Any]]:
    """Read ranges and, by precision, their costs."""
    from models.inference.calibration import Calibration
    from models.inference.eight_bits import Cost

    try:
        document = json.loads(ranges.read_text())
        costs = {precision: Cost(**cost) for precision, cost in document["costs"].items()}
        return Calibration.from_document(json.dumps(document["calibration"]).encode()), costs
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(
            f"{ranges} holds no ranges: delete it, and give --calibration.",
            code="ranges_unreadable",
        ) from error


def write(ranges: Path, model: Path, patches: Pixels) -> None:
    """Take the ranges and what they cost, and keep them whole or not at all."""
    from models.inference.eight_bits import frozen

    calibration, costs = frozen(model, patches, threads=1)
    document = {
        "calibration": json.loads(calibration.document()),
        "costs": {precision: asdict(cost) for precision, cost in costs.items()},
    }
    with written(ranges) as draft:
        draft.write_text(json.dumps(document, indent=1) + "\n")


def check_patches(calibration: "Calibration", patches: Pixels, ranges: Path) -> None:
    """Refuse other images than the ranges are of: masks made before could not be made again."""
    from models.inference.eight_bits import learned, names_of

    if names_of(learned(patches)) != calibration.patches_sha256:
        raise Refused(
            f"{ranges} holds ranges of other images, which masks may have been made with. Leave "
            "--calibration out, or delete the file to take ranges anew.",
            code="ranges_differ",
        )


def patches_of(images: list[Path], mpp: float | None) -> Pixels:
    """Cut images into patches at the analysis' resolution; some from all over, (N, 256, 256, 3)."""
    from models.inference.eight_bits import spread

    patches: list[Pixels] = []
    for path in images:
        tiles = tiles_of(read_picture(path, mpp))
        patches += [tiles[index] for index in spread(len(tiles))]
    return np.stack([patches[index] for index in spread(len(patches))])


def tiles_of(picture: Picture) -> list[Pixels]:
    """Return a picture's patches edge to edge, the last ones moved in."""
    if picture.mpp is None:
        raise Refused(
            picture.doubt or f"{picture.path.name} does not say how many µm a pixel has: --mpp.",
            code="mpp_missing",
        )
    field = Field(picture.pixels, picture.mpp)
    width, height = (scaled(n, field.mpp, ANALYSIS_MPP) for n in (field.width, field.height))
    image = field.read(0, 0, width, height, ANALYSIS_MPP)
    # an image smaller than a patch is continued by its mirror image
    beyond = [(0, max(0, PATCH_PX - side)) for side in image.shape[:2]]
    whole = np.pad(image, [*beyond, (0, 0)], mode="symmetric")
    tops, lefts = (starts(side) for side in whole.shape[:2])
    return [whole[top : top + PATCH_PX, left : left + PATCH_PX] for top in tops for left in lefts]


def starts(side: int) -> list[int]:
    """Return where patches begin along a side: edge to edge, and the last one ends with it."""
    last = side - PATCH_PX
    return [*range(0, last, PATCH_PX), last]
