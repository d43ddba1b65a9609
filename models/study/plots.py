"""Pictures of a study: how methods learn, and what they propose beside the truth."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.metrics import IGNORE
from models.study.all_figures import of
from models.study.dataset import Dataset, split
from models.study.runs import TEST, WEIGHTS, predictor_of
from models.study.table import ordered

MISSED, INVENTED, FOUND, UNKNOWN = (0, 114, 178), (213, 94, 0), (255, 255, 255), (110, 110, 110)
"""Blue, vermilion, white and grey: told apart by colour-blind people, too."""
SHOWN = 4


def curves(results: Mapping[str, Any], path: Path) -> None:
    """Draw validation Dice against the share of the budget: a panel for each set and share.

    A line is the mean over the seeds.
    """
    panels = [
        (name, share)
        for name, share in product(
            results["sets"], sorted({run["labelled"] for run in results["runs"]})
        )
        if any(run["set"] == name and run["labelled"] == share for run in results["runs"])
    ]
    figure = Figure(figsize=(5 * max(1, len(panels)), 4), layout="constrained")
    for axes, (name, share) in zip(
        np.atleast_1d(figure.subplots(1, max(1, len(panels)), sharey=True)), panels, strict=False
    ):
        runs = [run for run in results["runs"] if (run["set"], run["labelled"]) == (name, share)]
        for method in ordered({run["method"] for run in runs}):
            points: dict[float, list[float]] = {}
            for run in of(runs, method):
                for point in run["curve"]:
                    points.setdefault(point["share"], []).append(point["dice"])
            shares = sorted(points)
            axes.plot(shares, [mean(points[at]) for at in shares], label=method, marker=".")
        axes.set(xlabel="share of the budget", title=f"{name}, {100 * share:g} % labelled")
        axes.legend(fontsize="x-small")
    if panels:
        figure.axes[0].set_ylabel("Dice on validation groups")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def gallery(
    results: Mapping[str, Any], data: Dataset, work: Path, path: Path, *, judge: str = TEST
) -> bool:
    """Draw what each method of a set proposes for held-out patches; False if no weights are left.

    Of the largest share of labels and the first seed; one patch of each of four groups.
    work: the folder of the trainings' folders; judge: `test` or `validation` patches.
    """
    runs = [run for run in results["runs"] if run["set"] == data.name]
    share = max(run["labelled"] for run in runs)
    first = min(run["seed"] for run in runs)
    part = split(data, seed=results["protocol"]["split_seed"])
    patches = examples(data, part.test if judge == TEST else part.validation, SHOWN)
    proposals = {}
    for method in ordered({run["method"] for run in runs}):
        weights = work / data.name / f"{method}-{share:g}-{first}" / WEIGHTS
        rows = [run for run in of(runs, method) if (run["labelled"], run["seed"]) == (share, first)]
        if rows and weights.exists():
            proposals[method] = predictor_of(weights)(data.images[patches]) >= rows[0].get(
                "threshold", 0.5
            )
    if proposals:
        qualitative(data.images[patches], data.truth(np.asarray(patches)), proposals, path)
    return bool(proposals)


def qualitative(
    images: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint8],
    proposals: Mapping[str, npt.NDArray[np.bool_]],
    path: Path,
) -> None:
    """Draw patches in rows: image, truth, and every method's proposal with its errors in colour.

    images: (N, H, W, 3); masks: (N, H, W) of 0, 127 and 255; proposals: (N, H, W) by method.
    White is found, blue missed, vermilion invented, grey not judged.
    """
    columns = ["image", "truth", *proposals]
    size = (1.7 * len(columns), 1.7 * len(images) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
        shown = [image, judged(mask == 255, mask)]
        shown += [judged(of_method[row], mask) for of_method in proposals.values()]
        for axes, picture in zip(grid[row], shown, strict=True):
            show(axes, picture)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize="small")
    figure.savefig(path, dpi=150, metadata={"Software": None})


def judged(proposal: npt.NDArray[np.bool_], mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a proposal (H, W) as colours (H, W, 3)."""
    picture = np.zeros((*mask.shape, 3), np.uint8)
    truth = mask == 255
    picture[proposal & truth] = FOUND
    picture[~proposal & truth] = MISSED
    picture[proposal & ~truth] = INVENTED
    picture[mask == IGNORE] = UNKNOWN
    return picture


def show(axes: Axes, picture: npt.NDArray[np.uint8]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def examples(data: Dataset, patches: npt.NDArray[np.intp], few: int) -> list[int]:
    """Return of each of the first groups the patch of which most is judged: no result chooses."""
    names = sorted({data.groups[index] for index in patches})[:few]
    judged_px = (data.truth(patches) != IGNORE).sum(axis=(1, 2))
    of_group = np.array([data.groups[index] for index in patches])
    return [int(patches[np.argmax(np.where(of_group == name, judged_px, -1))]) for name in names]
