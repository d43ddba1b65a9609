"""Look at a whole slide at low power: where its tissue is, and which patches that makes."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.kit.errors import Unprocessable
from backend.kit.geometry import Region0
from backend.slides.catalogue.overview import Overview, read_overview
from backend.slides.patches.grid import PATCH_PX, Measured, grid_shape, measures, patch_region
from backend.slides.reading.pixel_kinds import NotBrightfield
from backend.slides.reading.reader import RegionUnreadable, Rgb, SlideReader, SlideUnreadable
from models.stain import white_point
from models.tissue import quality, tissue_mask

OVERVIEW_UM = 8.0
FINEST_UM = 2.0
ENOUGH_PX = 1024
"""A small slide is looked at more closely, until its overview is this long."""
MOST_PX = 3000
"""Longest side of an overview: bounds the memory for any slide."""
SAMPLES = 24
UPSAMPLED = 1.1
"""A slide this much coarser than the analysis grid shows thin membranes only blurred."""
UNREADABLE = {
    "code": RegionUnreadable.code,
    "detail": "The slide's file is damaged here; its pixels can't be read.",
}
NO_TISSUE = "no_tissue"
MOST_PATCHES = 1_000_000
"""Twice what a glass slide of 25×75 mm has at the finest grid: more is a wrong pixel size."""
Fractions = npt.NDArray[np.float64]


class SlideTooLarge(Unprocessable):
    code, title = "slide_too_large", "The slide is larger than glass slides are"


@dataclass(frozen=True)
class Survey:
    """What ingest learns from a slide's overview. `rows` are the columns of table patches."""

    tissue_fraction: float
    white_point: list[float]
    qc: list[str]
    rows: list[dict[str, Any]]


def overview_downsample(width: int, height: int, mpp: float) -> float:
    """Return level-0 px per overview px: about 8 µm, finer for small slides, bounded for huge."""
    longest = max(width, height)
    wanted = min(OVERVIEW_UM / mpp, max(FINEST_UM / mpp, longest / ENOUGH_PX))
    return max(1.0, wanted, longest / MOST_PX)


def survey(
    reader: SlideReader,
    slide: Measured,
    *,
    analysis_mpp: float,
    min_tissue_fraction: float,
    damaged: Sequence[Region0] = (),
) -> Survey:
    """Find tissue, patches and quality flags. Raise SlideUnreadable if no pixel can be read.

    damaged: boxes known to be unreadable, even if a coarser level shows what was there.
    """
    width, height, mpp = measures(slide)
    rows_wanted, columns_wanted = grid_shape(slide, analysis_mpp)
    if rows_wanted * columns_wanted > MOST_PATCHES:
        raise SlideTooLarge(
            f"At {mpp} µm per pixel the slide would be {width * mpp / 1000:.0f} × "
            f"{height * mpp / 1000:.0f} mm large. Correct the pixel size."
        )
    overview = read_overview(reader, overview_downsample(width, height, mpp))
    for box in damaged:
        mark_damaged(overview, box)
    if overview.nothing_readable:
        raise SlideUnreadable(
            "The file opens, but none of its pixels can be read: the image data is damaged. Copy "
            "the file again from the scanner's disk, or scan the slide anew."
        )
    mask = tissue_mask(overview.image, mpp * overview.downsample) & ~overview.unreadable
    rows = list(patch_rows(slide, overview, mask, analysis_mpp, min_tissue_fraction))
    sampled = sample(reader, slide, rows, analysis_mpp)
    flags = list(quality(overview.image, mask, sampled).flags)
    if "fluorescence" in flags:
        raise NotBrightfield(
            "The slide is dark where glass would be: a fluorescence image. Taken are brightfield "
            "slides; HER2 is read from its brown stain."
        )
    # the one says that there is nothing to look at, the others are what is looked at
    flags = [flag for flag in flags if flag != NO_TISSUE]
    if not rows:
        flags.insert(0, NO_TISSUE)
    if mpp > UPSAMPLED * analysis_mpp:
        flags.append("upsampled")
    if overview.unreadable.any():
        flags.append("unreadable_regions")
    return Survey(
        tissue_fraction=float(mask.mean()),
        white_point=[round(float(value), 2) for value in white_point(overview.image)],
        qc=flags,
        rows=rows,
    )


def mark_damaged(overview: Overview, box: Region0) -> None:
    step = overview.downsample
    rows = slice(max(0, math.floor(box.y / step)), max(0, math.ceil(box.bottom / step)))
    columns = slice(max(0, math.floor(box.x / step)), max(0, math.ceil(box.right / step)))
    overview.unreadable[rows, columns] = True


def patch_rows(
    slide: Measured,
    overview: Overview,
    mask: npt.NDArray[np.bool_],
    analysis_mpp: float,
    least: float,
) -> Iterator[dict[str, Any]]:
    """Yield the patches that have tissue, by row and column; damaged ones with their problem."""
    tissue = fractions(mask, slide, analysis_mpp, overview.downsample)
    damaged = fractions(overview.unreadable, slide, analysis_mpp, overview.downsample) > 0
    taken = (tissue >= least) | damaged
    if taken.size == 1:
        # a field no larger than a patch was chosen by a person: it is never empty
        taken[:] = True
    for row, column in np.argwhere(taken):
        box = patch_region(slide, int(row), int(column), analysis_mpp)
        yield {
            "row": int(row),
            "column": int(column),
            "x0": box.x,
            "y0": box.y,
            "size0": box.width,
            "tissue_fraction": round(float(tissue[row, column]), 4),
            "problem": dict(UNREADABLE) if damaged[row, column] else None,
        }


def fractions(
    mask: npt.NDArray[np.bool_], slide: Measured, analysis_mpp: float, downsample: float
) -> Fractions:
    """Return the share of each patch (rows, columns) that an overview mask covers.

    Patches need not start on overview pixels: the integral image is read between them.
    """
    rows, columns = grid_shape(slide, analysis_mpp)
    side = patch_region(slide, 0, 0, analysis_mpp).width / downsample
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    total[1:, 1:] = mask.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    down = between(total, np.arange(rows + 1, dtype=np.float64) * side)
    both = between(down.T, np.arange(columns + 1, dtype=np.float64) * side).T
    return np.clip(np.diff(np.diff(both, axis=0), axis=1) / side**2, 0, 1)


def between(table: Fractions, places: Fractions) -> Fractions:
    """Interpolate the rows of a table at fractional row numbers, held at its last row."""
    at = np.clip(places, 0, len(table) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(table) - 1)
    share = (at - low)[:, None]
    return np.asarray(table[low] * (1 - share) + table[high] * share)


def sample(
    reader: SlideReader, slide: Measured, rows: Sequence[dict[str, Any]], analysis_mpp: float
) -> Rgb:
    """Read a few patches, evenly spread over those with most tissue: (N, 256, 256, 3)."""
    most = sorted(rows, key=lambda row: -row["tissue_fraction"])[: max(SAMPLES, len(rows) // 2)]
    spread = [most[int(at)] for at in np.linspace(0, len(most) - 1, min(SAMPLES, len(most)))]
    read: list[Rgb] = []
    for row in spread:
        region: Region0 = patch_region(slide, row["row"], row["column"], analysis_mpp)
        with suppress(RegionUnreadable):
            read.append(reader.read(region, (PATCH_PX, PATCH_PX)))
    return np.stack(read) if read else np.empty((0, PATCH_PX, PATCH_PX, 3), np.uint8)
