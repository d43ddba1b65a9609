"""`membrana segment`: membrane masks of images, without a server."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
import typer
from PIL import Image

from backend.cli import AlreadyTold, app, say
from backend.kit.product import RESEARCH_USE_ONLY
from backend.progress import bar
from backend.slides.patches.grid import scale
from models.her2.pixels import ANALYSIS_MPP, Field
from models.prediction import Predictor
from worker.commands.image_files import read_picture, remark_on, stated_size
from worker.commands.int8_ranges import calibration_of
from worker.commands.options import OptionRefused, Refused, folder_of, in_words, one_of, written
from worker.commands.score import Images, Mpp
from worker.commands.scoring import going_on
from worker.commands.sources import files_of
from worker.commands.weights import check_model, drawing, predicted

if TYPE_CHECKING:
    from models.inference.calibration import Calibration

Gray = npt.NDArray[np.uint8]
HALF = 128
"""The least probability, 0-255, that is membrane: as it is in the service."""
LIKELY = "probability"


@app.command()
def segment(
    images: Images,
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the masks.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="Weights that draw the masks; without them, those of the package."),
    ] = None,
    *,
    precision: Annotated[
        str,
        typer.Option(help="f32; or int8: quicker, and other masks. Prints what it costs."),
    ] = "f32",
    calibration: Annotated[
        list[Path] | None,
        typer.Option(help="Of int8, once: images like those to come, or a folder of them."),
    ] = None,
    mpp: Mpp = None,
    probability: Annotated[
        bool,
        typer.Option("--probability", help="Write the probability too, 0-255, in a folder of it."),
    ] = False,
) -> None:
    """Draw membrane masks: PNG, 0 or 255, of each image's name and size. For Research Use Only.

    Prints what was made as JSON. An image that can't be used stops no other: it is named with why,
    and the exit code is 1.
    """
    with in_words():
        stated_size(mpp, "--mpp")
        ranges = ranges_for(precision, model, calibration or [], mpp)
        drawn = drawing(model, ranges)
        paths = files_of(images)
    folders = {"mask": output} | ({LIKELY: output / LIKELY} if probability else {})
    for folder in folders.values():
        folder_of(folder)
    drawn_by = {
        "model": drawn.name,
        "model_sha256": drawn.sha256,
        "predictor": drawn.predictor.backend,
        **({"ranges_sha256": ranges.sha256} if ranges else {}),
        "research_use_only": RESEARCH_USE_ONLY,
    }
    documents: list[dict[str, Any]] = []
    with bar("images", len(paths)) as show:
        for path, targets in named(paths, folders):
            with going_on(path.name, partial(note_trouble, documents, path)):
                check_targets(path, targets, paths, documents)
                documents.append(segmented(path, mpp, drawn.predictor, targets) | drawn_by)
            show(len(documents), len(paths))
    say(json.dumps(documents, indent=1, ensure_ascii=False))
    if any("problem" in each for each in documents):
        raise AlreadyTold("Not every image has a mask.")


def ranges_for(
    precision: str, model: Path | None, calibration: list[Path], mpp: float | None
) -> "Calibration | None":
    """Return what eight bits are read from; None in f32. Refuse options that don't fit together."""
    one_of("precision", precision, ("f32", "int8"))
    if precision == "f32":
        if calibration:
            raise OptionRefused("--calibration is of --precision int8.")
        return None
    if model is None:
        raise OptionRefused("--precision int8 needs --model.")
    check_model(model)
    return calibration_of(model, files_of(calibration), mpp)


def note_trouble(documents: list[dict[str, Any]], path: Path, trouble: dict[str, Any]) -> None:
    """Keep an image that could not be used among the others, in their order."""
    problem = {name: trouble[name] for name in ("code", "detail")}
    documents.append({"image": str(path), "problem": problem})


def named(paths: list[Path], folders: dict[str, Path]) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Yield each image with the files to make of it: its name, but for the ending."""
    for path in paths:
        yield path, {kind: folder / f"{path.stem}.png" for kind, folder in folders.items()}


def check_targets(
    path: Path, targets: dict[str, Path], paths: list[Path], documents: list[dict[str, Any]]
) -> None:
    """Refuse to write over an image, or over what this run has made of another."""
    for target in targets.values():
        for image in paths:
            if target.exists() and image.exists() and target.samefile(image):
                raise Refused(
                    f"Its mask would be written over the image {image}: take another folder.",
                    code="would_overwrite",
                )
        if str(target) in (document.get("mask") for document in documents):
            raise Refused(
                f"Another image has the same name, whose mask is {target}: take two folders.",
                code="name_twice",
            )


def segmented(
    path: Path, mpp: float | None, predictor: Predictor, targets: dict[str, Path]
) -> dict[str, Any]:
    """Write an image's mask, and its probability if wished; return what is told of it."""
    picture = read_picture(path, mpp)
    remark_on(picture)
    if picture.mpp is None:
        raise Refused(
            picture.doubt or f"{path.name} does not say how many µm a pixel has: give --mpp.",
            code="mpp_missing",
        )
    likely = predicted(Field(picture.pixels, picture.mpp), predictor).likely
    assert likely is not None, "what was predicted has a probability"
    height, width = picture.pixels.shape[:2]
    likely = of_size(likely, width, height, scale(picture.mpp, ANALYSIS_MPP))
    mask: Gray = np.where(likely >= HALF, np.uint8(255), np.uint8(0))
    drawn = {"mask": mask, LIKELY: likely}
    for kind, target in targets.items():
        with written(target) as draft:
            Image.fromarray(drawn[kind]).save(draft, "PNG", compress_level=6)
    return {
        "image": str(path),
        **{kind: str(target) for kind, target in targets.items()},
        "width": width,
        "height": height,
        "mpp": picture.mpp,
        "membrane_fraction": round(float((mask > 0).mean()), 6),
        "image_sha256": picture.sha256,
        **({"qc": list(picture.qc)} if picture.qc else {}),
    }


def of_size(likely: Gray, width: int, height: int, px0: float) -> Gray:
    """Bring a probability from the analysis' pixels, of `px0` image px each, to the image's.

    The last of them may reach beyond the image. An area's mean decides.
    """
    if px0 == 1:
        return likely
    how = cv2.INTER_AREA if px0 < 1 else cv2.INTER_LINEAR
    rows, columns = likely.shape
    whole = max(width, round(columns * px0)), max(height, round(rows * px0))
    return np.asarray(cv2.resize(likely, whole, interpolation=how), np.uint8)[:height, :width]
