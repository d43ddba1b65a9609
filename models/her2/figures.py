"""Pictures of a scored field: its cells in the colours of their classes, and how many there are.

They hold the laboratory's own image: such a file is not for a repository.
"""

from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from models.her2.cells import Cells
from models.her2.classes import CLASSES

mpl.use("Agg")

COLOURS = {
    "N": "#5b8ff9",
    "FP": "#ffe58a",
    "FC": "#ffd23f",
    "WP": "#ffb347",
    "WC": "#ff9a1f",
    "MP": "#f2703f",
    "MC": "#e0482b",
    "IP": "#b3247e",
    "IC": "#7a0c3a",
}
LONGEST_PX = 2400
CLOSE_UM = 120.0
"""Side of a close-up: some dozen cells, their membranes to be seen."""
MASK_COLOUR = (0.0, 0.75, 1.0, 0.6)

Rgb = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


def scored_field(
    image: Rgb,
    membrane: Bool | None,
    tumour: shapely.Geometry | None,
    cells: Cells,
    document: dict[str, Any],
    path: Path,
) -> None:
    """Draw RGB (H, W, 3) with its membrane mask, with the outlines of its cells, and their bars.

    membrane: bool, any size. tumour: what was drawn, px of the image; None: all was taken.
    """
    figure = Figure(figsize=(18, 7), layout="constrained")
    masked, left, right = figure.subplots(1, 3, width_ratios=(2, 2, 1))
    _image(masked, image)
    _mask(masked, membrane, image)
    masked.set_title("The membrane mask, in blue", fontsize=9)
    _image(left, image)
    _outlines(left, cells, 0.8)
    left.set_title("The cells, in the colours of their classes", fontsize=9)
    for axes in (masked, left) if tumour is not None else ():
        for line in shapely.get_parts(shapely.boundary(tumour)):
            axes.plot(*shapely.get_coordinates(line).T, color="black", linewidth=1.2)
    percent = [document["percent"][name] for name in CLASSES]
    value = [each["value"] or 0 for each in percent]
    reach = [
        [max(0, v - (each["low"] or 0)) for v, each in zip(value, percent, strict=True)],
        [max(0, (each["high"] or 0) - v) for v, each in zip(value, percent, strict=True)],
    ]
    right.barh(CLASSES, value, xerr=reach, color=[COLOURS[name] for name in CLASSES])
    right.axvline(10, color="#555555", linewidth=0.8, linestyle="--")
    right.invert_yaxis()
    right.set_xlabel(f"% of {document['cells']} cells, 95 % interval")
    captions = (
        f"{document['printed_score']}: {document['reason_text']}",
        document.get("tumour", ""),
        document["research_use_only"],
    )
    lines = (fill(line, 170) for line in captions if line)
    figure.suptitle("\n".join(lines).replace("$", r"\$"), fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def disagreement(
    image: Rgb,
    membrane: Bool | None,
    cells: Cells,
    document: dict[str, Any],
    given: str,
    path: Path,
) -> None:
    """Draw what a computed category that is not the given one stands on, and say what it is.

    Above the whole of RGB (H, W, 3), below a close-up of where stained cells are densest; from
    left to right the image, the membrane (bool, any size) and the cells in their classes' colours.
    """
    figure = Figure(figsize=(15, 11), layout="constrained")
    places = figure.subplots(2, 3)
    box = _close_up(image, cells)
    for row, place in enumerate(places):
        for axes in place:
            _image(axes, image)
        _mask(place[1], membrane, image)
        _outlines(place[2], cells, 1.6 if row else 0.4)
        for axes in place if row else ():
            axes.set_xlim(box[0], box[2])
            axes.set_ylim(box[3], box[1])
        if not row:
            sides = (box[0], box[1]), box[2] - box[0], box[3] - box[1]
            place[0].add_patch(Rectangle(*sides, fill=False, edgecolor="black", linewidth=1.2))
    for axes, title in zip(places[0], ("image", "membrane", "cells by class"), strict=True):
        axes.set_title(title, fontsize=9)
    handles = [
        Rectangle((0, 0), 1, 1, fill=False, edgecolor=COLOURS[name], label=name) for name in CLASSES
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(CLASSES), fontsize=8)
    figure.suptitle(caption(document, given), fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def caption(document: dict[str, Any], given: str) -> str:
    """Say in words how a computed category differs from the given one, and what it rests on."""
    shares = [
        f"{words} {document['percent'][name]['value']:.1f} %"
        for name, words in (
            ("stained", "stained"),
            ("weak_moderate_complete", "weak to moderate complete"),
            ("moderate_intense_incomplete", "moderate to intense incomplete"),
            ("intense_complete", "intense complete"),
        )
        if document["percent"][name]["value"] is not None
    ]
    flags = ", ".join(flag["code"] for flag in document["flags"]) or "none"
    share = document.get("membrane_percent_of_tissue")
    membrane = "" if share is None else f"; membrane {share:.1f} % of the tissue"
    verdict = f"computed {document['score']}: {document['reason_text']}"
    lines = (
        f"{document['image']}: given {given}, {verdict}",
        f"{document['cells']} cells: {', '.join(shares) or 'no shares'}{membrane}",
        f"Flags: {flags}",
        document["research_use_only"],
    )
    # a file's name may hold a dollar, which would begin a formula
    return "\n".join(fill(line, 150) for line in lines).replace("$", r"\$")


def _image(axes: Axes, image: Rgb) -> None:
    step = max(1, max(image.shape[:2]) // LONGEST_PX)
    axes.imshow(image[::step, ::step], extent=(0, image.shape[1], image.shape[0], 0))
    axes.autoscale(enable=False)  # outlines of cells at the edge would shrink the picture
    axes.set_axis_off()


def _mask(axes: Axes, membrane: Bool | None, image: Rgb) -> None:
    if membrane is None:
        return
    shade = np.zeros((*membrane.shape, 4), np.float32)
    shade[membrane] = MASK_COLOUR
    axes.imshow(shade, extent=(0, image.shape[1], image.shape[0], 0), interpolation="nearest")


def _outlines(axes: Axes, cells: Cells, width: float) -> None:
    colours = [COLOURS[CLASSES[label]] for label in cells.label]
    axes.add_collection(
        PolyCollection(
            list(cells.membrane), facecolors="none", edgecolors=colours, linewidths=width
        )
    )


def _close_up(image: Rgb, cells: Cells) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom, px, of the square with most stained cells, else cells."""
    height, width = image.shape[:2]
    side = min(CLOSE_UM / cells.mpp, height, width)
    x, y = width / 2, height / 2
    shown = cells.label > 0 if (cells.label > 0).any() else np.ones(len(cells), np.bool_)
    if shown.any():
        at = np.stack([cells.x, cells.y], axis=1)[shown]
        _, inverse, many = np.unique(
            (at // side).astype(np.int64), axis=0, return_inverse=True, return_counts=True
        )
        x, y = at[inverse.ravel() == int(np.argmax(many))].mean(axis=0)
    left = float(np.clip(x - side / 2, 0, width - side))
    top = float(np.clip(y - side / 2, 0, height - side))
    return left, top, left + side, top + side
