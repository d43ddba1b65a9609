"""`membrana score` and `membrana calibrate`: HER2 from files, without a server."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import app, say
from backend.progress import bar
from models.prediction import Predictor
from worker.commands.options import Refused, in_words
from worker.commands.pictures import Picture, mask_of, predicted, predictor_of, read_picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs", ".scn", ".bif"}

SHOWN = ("x", "y", "area_um2", "completeness", "unshared", "intensity", "cytoplasm", "width_um")
"""Columns of Cells in the table of cells."""

Images = Annotated[list[Path], typer.Argument(help="Images, small slides, or folders of them.")]
Mask = Annotated[
    Path | None, typer.Option(help="Folder of membrane masks of the same names and sizes.")
]
Positive = Annotated[str, typer.Option(help="The masks' value of membrane; `any` for all but 0.")]
Model = Annotated[Path | None, typer.Option(help="Weights that draw the masks, instead of --mask.")]
Proposal = Annotated[
    bool, typer.Option("--proposal", help="Let the stain rule draw the masks: a rough start.")
]
Mpp = Annotated[float | None, typer.Option(help="µm per pixel; without it, what the file says.")]
Rules = Annotated[str, typer.Option(help="asco_cap_2023_breast, hercep_gastric_resection, …")]
Calibration = Annotated[
    Path | None, typer.Option(help="What `membrana calibrate` wrote for this laboratory.")
]
Out = Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and figures.")]


@dataclass(frozen=True)
class Source:
    """Where masks come from: a folder of files, or a predictor."""

    folder: Path | None
    positive: str
    predictor: Predictor | None

    @property
    def words(self) -> str:
        return "files" if self.predictor is None else self.predictor.backend


@app.command()
def score(
    images: Images,
    output: Out,
    protocol: Rules = "asco_cap_2023_breast",
    calibration: Calibration = None,
    mask: Mask = None,
    positive: Positive = "255",
    model: Model = None,
    *,
    proposal: Proposal = False,
    mpp: Mpp = None,
) -> None:
    """Score HER2 on images with membrane masks. For Research Use Only.

    The whole picture is taken for invasive tumour: cut out what is not. Prints the score documents
    as JSON; in the folder lie scores.csv and, for each image, its document, cells and a figure.
    """
    with in_words(), of_her2():
        from models.her2.protocols import load

        rules = load(protocol, calibration=calibration)
        source = source_of(mask, positive, model, proposal=proposal)
        paths = files_of(images)
        output.mkdir(parents=True, exist_ok=True)
        documents = []
        with bar("images", len(paths)) as show:
            for done, path in enumerate(paths, start=1):
                documents.append(scored(read_picture(path, mpp), rules, source, output))
                show(done, len(paths))
        write_table(documents, output / "scores.csv")
    say(json.dumps(documents, indent=1))


@app.command()
def calibrate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Calibration file to write.")],
    negative: Annotated[list[Path], typer.Option(help="Images of the negative control.")],
    low: Annotated[list[Path], typer.Option(help="Images of the 1+ control.")],
    strong: Annotated[list[Path], typer.Option(help="Images of the 3+ control.")],
    blank: Annotated[
        list[Path] | None,
        typer.Option(help="At least 20 slides known to be negative, for the detection floor."),
    ] = None,
    protocol: Rules = "asco_cap_2023_breast",
    mask: Mask = None,
    positive: Positive = "255",
    model: Model = None,
    *,
    proposal: Proposal = False,
    mpp: Mpp = None,
) -> None:
    """Measure a laboratory's thresholds and stain vectors on its control tissue."""
    with in_words(), of_her2():
        from models.her2 import calibrate as controls
        from models.her2.cells import Cells
        from models.her2.protocols import load
        from models.her2.white_point import measure_white
        from models.stain import WHITE, StainVectors, estimate_vectors

        rules = load(protocol)
        source = source_of(mask, positive, model, proposal=proposal)
        read = {
            name: [read_picture(path, mpp) for path in files_of(some or [])]
            for name, some in (
                ("negative", negative),
                ("low", low),
                ("strong", strong),
                ("blank", blank),
            )
        }
        first = read["strong"][0].pixels
        vectors = estimate_vectors(first, measure_white(first) or WHITE) or StainVectors()
        cells = {
            name: [measured(picture, rules, source, vectors) for picture in some]
            for name, some in read.items()
        }
        none, faint, full = (
            Cells.join(cells[name], cells[name][0].mpp) for name in ("negative", "low", "strong")
        )
        content = controls.document(
            rules,
            controls.thresholds(none, faint, full, rules),
            on=datetime.now(UTC).date().isoformat(),
            stain=vectors,
            floor=controls.detection_floor(cells["blank"], rules),
            controls={
                name: [{"file": each.path.name, "sha256": each.sha256} for each in some]
                for name, some in read.items()
            },
        )
    text = json.dumps(content, indent=1)
    output.write_text(text + "\n")
    say(text)


@contextmanager
def of_her2() -> Iterator[None]:
    """Turn what scoring refuses into the command line's errors."""
    from models.her2.calibrate import CalibrationError
    from models.her2.protocols import ProtocolError

    try:
        yield
    except ProtocolError as error:
        raise Refused(str(error), code="protocol") from error
    except CalibrationError as error:
        raise Refused(str(error), code="controls") from error


def source_of(mask: Path | None, positive: str, model: Path | None, *, proposal: bool) -> Source:
    if (mask is not None) + (model is not None) + proposal != 1:
        raise Refused(
            "Say where the masks come from: --mask FOLDER, --model FILE or --proposal.",
            code="wrong_option",
        )
    return Source(mask, positive, None if mask else predictor_of(model))


def files_of(given: list[Path]) -> list[Path]:
    """Return the files, and those in the folders, that look like images."""
    found: list[Path] = []
    for path in given:
        inside = sorted(each for each in path.iterdir()) if path.is_dir() else [path]
        found += [each for each in inside if each.suffix.lower() in SUFFIXES or each == path]
    if given and not found:
        raise Refused("There is no image in these folders.", code="images_missing")
    return found


def prepared(picture: Picture, source: Source) -> tuple[Any, Any]:
    """Return a picture's pixels and masks as measuring reads them."""
    from models.her2.pixels import Field

    if picture.mpp is None:
        raise Refused(
            f"{picture.path.name} does not say how many µm a pixel has: give --mpp.",
            code="mpp_missing",
        )
    membrane = None
    if source.folder is not None:
        membrane = mask_of(picture, source.folder, source.positive)
    field = Field(picture.pixels, picture.mpp, membrane)
    return field, predicted(field, source.predictor) if source.predictor else field.masks


def measured(picture: Picture, rules: Any, source: Source, vectors: Any) -> Any:
    """Measure a control's cells; all of the picture is taken."""
    from models.her2.pixels import Regions
    from models.her2.tile import Settings
    from models.her2.tiles import measure

    field, masks = prepared(picture, source)
    settings = Settings(rules, vectors)
    return measure(field, masks, regions=Regions.whole(field), settings=settings).cells


def content_of(picture: Picture, rules: Any, source: Source, seed: int) -> tuple[Any, Any]:
    """Return a picture's score document and cells; without µm per pixel there are none."""
    from models.her2.calibrate import vectors_of
    from models.her2.cells import Cells
    from models.her2.connectivity import connectivity
    from models.her2.flags import Flag
    from models.her2.pixels import Regions
    from models.her2.quality import quality_flags
    from models.her2.slide_score import summarise
    from models.her2.tile import Settings
    from models.her2.tiles import measure

    if picture.mpp is None:
        cells = Cells.empty(1.0)
        flags = [Flag("mpp_missing")]
        return summarise(cells.tile_counts(rules), rules, flags=flags, seed=seed), cells
    field, masks = prepared(picture, source)
    regions = Regions.whole(field)
    found = measure(field, masks, regions=regions, settings=Settings(rules, vectors_of(rules)))
    content = summarise(
        found.cells.tile_counts(rules, regions=regions),
        rules,
        flags=quality_flags(found, regions),
        seed=seed,
        connectivity=connectivity(field, masks, regions),
    )
    return content, found.cells


def scored(picture: Picture, rules: Any, source: Source, output: Path) -> dict[str, Any]:
    """Score one picture and write its files."""
    from models.her2.figures import scored_field

    seed = int(picture.sha256[:8], 16)
    content, cells = content_of(picture, rules, source, seed)
    name = picture.path.name
    document = {
        "image": name,
        **content,
        "provenance": {
            "image_sha256": picture.sha256,
            "mpp": picture.mpp,
            "masks": source.words,
            "regions": "whole picture less a rim",
            "detector": "log",
            "seed": seed,
        },
    }
    (output / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    write_cells(cells, output / f"{name}.cells.csv")
    scored_field(picture.pixels, cells, content, output / f"{name}.png")
    return document


def write_cells(cells: Any, path: Path) -> None:
    from models.her2.classes import CLASSES

    columns = [getattr(cells, name).round(4).tolist() for name in SHOWN]
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["class", *SHOWN, "flags"])
        names = [CLASSES[label] for label in cells.label]
        table.writerows(zip(names, *columns, cells.flags.tolist(), strict=True))


def write_table(documents: list[dict[str, Any]], path: Path) -> None:
    """One row an image: score, reason, cells, percentages and flags."""
    from models.her2.classes import CLASSES

    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "score", "reason", "cells", *CLASSES, "h_score", "flags"])
        for each in documents:
            percent = [each["percent"][name]["value"] for name in CLASSES]
            flags = " ".join(flag["code"] for flag in each["flags"])
            told = [each[name] for name in ("image", "printed_score", "reason", "cells")]
            table.writerow([*told, *percent, each["h_score"]["value"], flags])
