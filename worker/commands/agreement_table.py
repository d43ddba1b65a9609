"""The table that `membrana agreement` reads: images and what people said of them.

CSV of `image` (its path from the table's folder) and `category`: 0, 0+, 1+, 2+, 3+ or "not
assessable". Columns `category_…` hold the categories of single readers, who may have left some
out; without a column `category` their most frequent one is the reference. Optional: `patient`,
`mpp`, `percent_intense_complete` and `percent_stained`.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.commands.image_files import stated_size
from worker.commands.options import Refused, reason_of

PERCENTAGES = {"percent_intense_complete": "intense_complete", "percent_stained": "stained"}
"""Optional columns of true percentages, and the score document's name of each."""
CATEGORY, READER = "category", "category_"
BEYOND = "…"
"""What stands in a line beyond the last column: a comma in a name that is not quoted."""


@dataclass(frozen=True)
class Row:
    """An image of the table, its number counted from 1.

    given: the reference, None where readers have no most frequent category; readers: by name, ""
    where one gave none; percent: by column.
    """

    number: int
    image: str
    given: str | None
    patient: str
    mpp: float | None
    readers: Mapping[str, str] = field(default_factory=dict)
    percent: Mapping[str, float] = field(default_factory=dict)


def rows_of(table: Path) -> list[Row]:
    """Read the table before anything is scored. Refused, with the image's name, if it is wrong."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey=BEYOND)
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{table} can't be read: {reason_of(error)}.", code="table") from error
    columns = [name for name in reader.fieldnames or () if name]
    if len(set(columns)) < len(columns):
        raise Refused(f"{table} has two columns of one name.", code="table")
    readers = [name for name in columns if name.startswith(READER)]
    if not lines or "image" not in columns or not (CATEGORY in columns or readers):
        raise Refused(
            f"{table} needs rows of image and category, with commas between.", code="table"
        )
    rows = []
    images: set[str] = set()
    for number, line in enumerate(lines, start=1):
        cells = {name: (line[name] or "").strip() for name in columns}
        if not cells["image"] or cells["image"] in images:
            raise wrong(table, number, cells, "the image is missing or named twice")
        if BEYOND in line:
            raise wrong(table, number, cells, "it has more cells than the table columns")
        images.add(cells["image"])
        rows.append(row_of(table, number, cells, readers))
    return rows


def row_of(table: Path, number: int, cells: Mapping[str, str], readers: list[str]) -> Row:
    from models.her2.classes import NOT_ASSESSABLE, SCORES
    from models.her2.readers import consensus

    votes = {name.removeprefix(READER): cells[name] for name in readers}
    stated = [cells[CATEGORY]] if CATEGORY in cells else []
    for category in (*stated, *filter(None, votes.values())):
        if category not in (*SCORES, NOT_ASSESSABLE):
            known = ", ".join((*SCORES, NOT_ASSESSABLE))
            raise wrong(table, number, cells, f"{category!r} is no category; known are {known}")
    percent = {}
    for column in PERCENTAGES:
        if text := cells.get(column):
            value = number_of(text)
            if value is None or not 0 <= value <= 100:
                raise wrong(table, number, cells, f"{column} {text!r} is no percentage")
            percent[column] = value
    mpp = None
    if text := cells.get("mpp"):
        mpp = number_of(text)
        if mpp is None:
            raise wrong(table, number, cells, f"mpp {text!r} is no number")
        stated_size(mpp, f"{table}, row {number} ({cells['image']}):")
    return Row(
        number=number,
        image=cells["image"],
        given=cells[CATEGORY] if stated else consensus(list(votes.values())),
        patient=cells.get("patient") or cells["image"],
        mpp=mpp,
        readers=votes,
        percent=percent,
    )


def wrong(table: Path, number: int, cells: Mapping[str, str], what: str) -> Refused:
    return Refused(f"{table}, row {number} ({cells['image']}): {what}.", code="table")


def number_of(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
