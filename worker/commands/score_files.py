"""What `membrana score` leaves in its folder: tables, documents, cells and figures of pictures.

Every file says that it is for research use: documents and figures in words, tables in the name of
a last, empty column, so that they stay tables that any program reads.
"""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from worker.commands.image_files import Picture
from worker.commands.scoring import PictureScore, Trouble

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet takes a cell for a formula."""


class ScoreFiles:
    """A folder of results, picture by picture: what is scored stays, whatever becomes of the next.

    scores.csv, and for each picture its document, cells and a figure.
    """

    def __init__(self, folder: Path) -> None:
        from models.her2.classes import CLASSES
        from models.her2.slide_score import RESEARCH_USE_ONLY

        self._classes = CLASSES
        self._folder = folder
        self._file = (folder / "scores.csv").open(
            "w", newline="", encoding="utf-8", errors="backslashreplace"
        )
        self._table = csv.writer(self._file)
        columns = ("image", "score", "reason", "cells", *CLASSES, "h_score")
        rest = ("membrane_percent_of_tissue", "flags", "failed", RESEARCH_USE_ONLY)
        self._row([*columns, *rest])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def scored(self, picture: Picture, result: PictureScore, document: dict[str, Any]) -> None:
        """Write a picture's files, and then its row."""
        write_picture(picture, result, document, self._folder)
        percent = [document["percent"][name]["value"] for name in self._classes]
        flags = " ".join(flag["code"] for flag in document["flags"])
        values = [document[name] for name in ("printed_score", "reason", "cells")]
        share = document.get("membrane_percent_of_tissue")
        h_score = document["h_score"]["value"]
        self._row([as_text(document["image"]), *values, *percent, h_score, share, flags, "", ""])

    def failed(self, troubles: Iterable[Trouble]) -> None:
        empty = [""] * (len(self._classes) + 6)
        for trouble in troubles:
            self._row([as_text(trouble["image"]), *empty, trouble["code"], ""])

    def _row(self, values: list[Any]) -> None:
        self._table.writerow(values)
        self._file.flush()


def as_text(name: str) -> str:
    """Return a file's name as spreadsheets show it and never compute it."""
    return f"'{name}" if name.startswith(FORMULA) else name


def write_picture(
    picture: Picture, result: PictureScore, document: dict[str, Any], folder: Path
) -> None:
    """Write a picture's document, cells and figure."""
    from models.her2.figures import scored_field
    from worker.exporters import cells_csv

    name = picture.path.name
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    every = np.ones(len(result.cells), np.bool_)
    lines = cells_csv.lines(result.cells, every, urn=f"sha256:{picture.sha256}")
    with (folder / f"{name}.cells.csv").open("w", newline="") as file:
        file.writelines(lines)
    outline = None if result.regions is None else result.regions.tumour
    path = folder / f"{name}.png"
    scored_field(picture.pixels, result.membrane, outline, result.cells, document, path)
