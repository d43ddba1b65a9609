"""Pictures of a scored field: its cells in the colours of their classes, and how many there are."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

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


def scored_field(
    image: npt.NDArray[np.uint8], cells: Cells, document: dict[str, Any], path: Path
) -> None:
    """Draw RGB (H, W, 3) with the outlines of its cells beside the bars of their classes."""
    step = max(1, max(image.shape[:2]) // LONGEST_PX)
    figure = Figure(figsize=(13, 7), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    left.imshow(image[::step, ::step], extent=(0, image.shape[1], image.shape[0], 0))
    colours = [COLOURS[CLASSES[label]] for label in cells.label]
    left.add_collection(
        PolyCollection(list(cells.membrane), facecolors="none", edgecolors=colours, linewidths=0.8)
    )
    left.set_axis_off()
    left.set_title(f"{document['score']}: {document['reason_text']}", fontsize=9, wrap=True)
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
    figure.suptitle(document["research_use_only"], fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
