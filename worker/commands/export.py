"""`membrana export`: a slide's masks from a running service, as a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import app, connect, say
from backend.exchange.masks.formats import NAMES
from backend.kit.storage.blobs import file_sha256
from backend.progress import bar

QUPATH = "qupath"
KINDS = (QUPATH, *NAMES)


@app.command()
def export(
    slide: Annotated[str, typer.Argument(help="A slide's id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    kind: Annotated[str, typer.Option("--format", help=", ".join(KINDS))] = QUPATH,
    *,
    proposals: Annotated[
        bool,
        typer.Option("--proposals", help="Where nobody has drawn, what the model proposes there."),
    ] = False,
) -> None:
    """Write people's masks of a slide to a file: GeoJSON for QuPath, a zip, or a DICOM object.

    Prints JSON.
    """
    if kind not in KINDS:
        raise typer.BadParameter(f"--format is one of {', '.join(KINDS)}")
    if proposals and kind == QUPATH:
        raise typer.BadParameter(
            "--proposals is not for qupath: what comes back from there counts as a person's work"
        )
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise typer.BadParameter(f"{output} is no file in a folder that is there")
    place = "annotations.geojson" if kind == QUPATH else "export"
    asked = {} if kind == QUPATH else {"format": kind, "proposals": proposals}
    with connect() as client, bar("exporting", 1) as show:
        client.download(f"/slides/{slide}/{place}", output, progress=show, **asked)
    summary = {
        "slide": slide,
        "format": kind,
        "file": str(output),
        "bytes": output.stat().st_size,
        "sha256": file_sha256(output),
    }
    say(json.dumps(summary, ensure_ascii=False))
