"""`membrana score` and `membrana calibrate`: HER2 from files, without a server."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import app, say
from backend.progress import bar
from worker.commands.fields import Source, content_of, files_of, measured, of_her2, source_of
from worker.commands.options import Refused, in_words
from worker.commands.pictures import Picture, read_picture

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
Drawn = Annotated[
    Path | None,
    typer.Option(
        help="GeoJSON of tumour and exclude polygons in the image's px (QuPath's will do), or a "
        "folder of such files by the images' names. Without it, the whole picture is tumour."
    ),
]
Out = Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and figures.")]


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
    regions: Drawn = None,
) -> None:
    """Score HER2 on images with membrane masks. For Research Use Only.

    Without --regions the whole picture is taken for invasive tumour: cut out what is not. Prints
    the score documents as JSON; in the folder lie scores.csv and, for each image, its document,
    cells and a figure.
    """
    with in_words(), of_her2():
        from models.her2.protocols import load

        rules = load(protocol, calibration=calibration)
        source = source_of(mask, positive, model, proposal=proposal, regions=regions)
        paths = files_of(images)
        if regions is not None and not regions.is_dir() and len(paths) > 1:
            raise Refused(
                f"{regions.name} is of one picture, and these are {len(paths)}: give a folder of "
                "GeoJSON files by their names.",
                code="wrong_option",
            )
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
            "regions": "drawn, less a rim" if source.regions else "whole picture less a rim",
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
