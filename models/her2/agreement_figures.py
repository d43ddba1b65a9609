"""Bland-Altman plots of computed against true percentages (her2.md §5); no image is in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.her2.percentages import Figures, bland_altman, logit
from models.her2.slide_score import RESEARCH_USE_ONLY

mpl.use("Agg")

NEAR = (0.0, 20.0)
"""Percent: around the 10 % that divides the categories a point more or less matters most."""

Pairs = tuple[list[float], list[float], list[int]]
"""Given and computed percentages, and the computed ones' cells."""


def on_logit(pairs: Pairs) -> Figures:
    """Compare percentages on the logit scale, each as a share of the computed one's cells."""
    given, computed, cells = pairs
    return bland_altman(logit(given, cells), logit(computed, cells))


def plot(percentages: Mapping[str, Pairs], path: Path) -> None:
    """Draw a row a percentage: all of it, what lies near 10 %, and all on the logit scale."""
    figure = Figure(figsize=(14, 4.2 * len(percentages)), layout="constrained")
    rows = figure.subplots(len(percentages), 3, squeeze=False)
    for axes, (name, pairs) in zip(rows, percentages.items(), strict=True):
        given, computed = (np.asarray(each, float) for each in pairs[:2])
        limits = bland_altman(given, computed)
        _differences(axes[0], given, computed, limits, "points")
        axes[0].set_title(f"{name}, %", fontsize=9)
        _differences(axes[1], given, computed, limits, "points")
        axes[1].set_xlim(*NEAR)
        axes[1].set_title(f"{name}, near 10 %", fontsize=9)
        true, own = (logit(each, pairs[2]) for each in pairs[:2])
        _differences(axes[2], true, own, on_logit(pairs), "log odds")
        axes[2].set_title(f"{name}, logit", fontsize=9)
    figure.suptitle(RESEARCH_USE_ONLY, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _differences(axes: Axes, given: Any, computed: Any, limits: Figures, unit: str) -> None:
    axes.scatter((given + computed) / 2, computed - given, s=14, color="#0b5cad", alpha=0.7)
    for name, style in (("bias", "-"), ("lower", "--"), ("upper", "--")):
        if (level := limits[name]) is not None:
            axes.axhline(level, color="#851414", linestyle=style, linewidth=1)
    axes.set_xlabel("mean of given and computed")
    axes.set_ylabel(f"computed - given, {unit}")
