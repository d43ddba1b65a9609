"""Pictures for the report, cut from the slide by rule: an overview, fields, cells of each class.

Outlines go beside them as coordinates, so that a report draws them at any size.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.exchange.reports.svg_figures import PLACES as EXAMPLES
from backend.her2.regions.geojson import Region
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from models.her2.evaluated import polygons_of
from models.her2.pixels import ANALYSIS_MPP, RIM_UM, Pixels, Regions
from worker.her2.slide import jpeg

Rgb = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Put = Callable[[bytes], str]
"""Stores bytes and returns their sha256."""
OVERVIEW_PX = 1600
CROP_UM = 28.0
CROP_PX = round(CROP_UM / ANALYSIS_MPP)
ROUNDING = 1e-9
"""Of a tile's area, by which one that lies wholly inside may seem not to."""
CORNERS = 400
"""Most corners of a region's outline in a figure."""


def figures(
    slide: Pixels,
    cells: Cells,
    included: Bool,
    heat: Sequence[Mapping[str, Any]],
    tile_um: float,
    regions: Sequence[Region],
    scored: Regions,
    put: Put,
) -> dict[str, Any]:
    """Cut all pictures; return what is on them, with the sha256 of each.

    Only cells that are included, bool (n,), are shown. heat: the map of the score document.
    scored: the tumour less what is excluded, outside of which nothing was counted.
    """
    return {
        "overview": overview(slide, heat, tile_um, regions, scored, put),
        "fields": fields(slide, cells, included, heat, tile_um, scored, put),
        "gallery": gallery(slide, cells, included, put),
    }


def overview(
    slide: Pixels,
    heat: Sequence[Mapping[str, Any]],
    tile_um: float,
    regions: Sequence[Region],
    scored: Regions,
    put: Put,
) -> dict[str, Any]:
    """The slide round its regions, with their outlines and the tiles, all in px of the picture.

    `clip`: rings of what was scored; a tile reaches over its edge, what it says does not.
    """
    left, top, right, bottom = bounds(slide, regions)
    px0 = max(1.0, max(right - left, bottom - top) / OVERVIEW_PX)
    mpp = slide.mpp * px0
    x, y = int(left / px0), int(top / px0)
    width, height = (max(1, round(each / px0)) for each in (right - left, bottom - top))
    picture = slide.read(x, y, width, height, mpp)

    def placed(ring: Sequence[Sequence[float]]) -> list[list[float]]:
        points = np.asarray(ring, np.float64) / px0 - (x, y)
        step = max(1, len(points) // CORNERS)
        rounded: list[list[float]] = points[::step].round(1).tolist()
        return rounded

    return {
        "sha256": put(jpeg(picture)),
        "width": width,
        "height": height,
        "um_per_px": mpp,
        "tile_px": tile_um / mpp,
        "tiles": [
            {
                "x": round(tile["x_um"] / mpp - x, 2),
                "y": round(tile["y_um"] / mpp - y, 2),
                "score": tile["score"],
            }
            for tile in heat
        ],
        "clip": [
            placed(ring.coords)
            for polygon in polygons_of(scored.tumour)
            for ring in (polygon.exterior, *polygon.interiors)
        ],
        "regions": [
            {
                "kind": str(region.kind),
                "rings": [placed(ring) for rings in region.polygons for ring in rings],
            }
            for region in regions
        ],
    }


def bounds(slide: Pixels, regions: Sequence[Region]) -> tuple[float, float, float, float]:
    """The level-0 box of the regions with a rim; the whole slide where there are none."""
    corners = [point for region in regions for rings in region.polygons for point in rings[0]]
    if not corners:
        return 0, 0, slide.width, slide.height
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    rim = 0.06 * max(right - left, bottom - top)
    return (
        max(0.0, float(left - rim)),
        max(0.0, float(top - rim)),
        min(float(slide.width), float(right + rim)),
        min(float(slide.height), float(bottom + rim)),
    )


def fields(
    slide: Pixels,
    cells: Cells,
    included: Bool,
    heat: Sequence[Mapping[str, Any]],
    tile_um: float,
    scored: Regions,
    put: Put,
) -> list[dict[str, Any]]:
    """The tiles of the highest, the middle and the lowest H-score, with every cell's outline.

    Of the tiles that lie wholly in what was scored. Where there are none, of all, and `whole` is
    False: what of the picture was not scored is faded.
    """
    ranked = sorted(
        (tile for tile in heat if tile["score"] is not None),
        key=lambda tile: (-tile["h_score"], tile["y_um"], tile["x_um"]),
    )
    if not ranked:
        return []
    within = wholly_in(slide, scored, ranked, tile_um)
    whole = [tile for tile, inside in zip(ranked, within, strict=True) if inside]
    ranked = whole or ranked
    places = {len(ranked) // 2: "middle", len(ranked) - 1: "lowest", 0: "highest"}
    side = round(tile_um / ANALYSIS_MPP)
    figures = []
    for place, rule in sorted(places.items()):
        tile = ranked[place]
        x, y = round(tile["x_um"] / ANALYSIS_MPP), round(tile["y_um"] / ANALYSIS_MPP)
        picture = slide.read(x, y, side, side, ANALYSIS_MPP)
        if not whole:
            picture = faded(picture, scored, x, y, slide.mpp)
        px0 = ANALYSIS_MPP / slide.mpp
        inside = included & (cells.x >= x * px0) & (cells.x < (x + side) * px0)
        inside &= (cells.y >= y * px0) & (cells.y < (y + side) * px0)
        figures.append(
            {
                "rule": rule,
                "whole": bool(whole),
                "sha256": put(jpeg(picture)),
                "side": side,
                **{name: tile[name] for name in ("x_um", "y_um", "cells", "score", "h_score")},
                "outlines": [
                    {
                        "class": CLASSES[cells.label[number]],
                        "points": outline(cells.membrane[number], slide.mpp, x, y),
                    }
                    for number in np.flatnonzero(inside)
                ],
            }
        )
    return figures


def wholly_in(
    slide: Pixels, scored: Regions, tiles: Sequence[Mapping[str, Any]], tile_um: float
) -> Bool:
    """Tell which tiles, bool (n,), lie on the slide and show nothing but what was scored.

    The slide's own rim, whose cells are cut and never counted, is nobody's choice and forgiven.
    """
    corner = np.array([[tile["x_um"], tile["y_um"]] for tile in tiles], np.float64) / slide.mpp
    ends = corner + tile_um / slide.mpp
    rim = RIM_UM / slide.mpp
    size = np.array([slide.width, slide.height])
    across = np.minimum(ends, size - rim) - np.maximum(corner, rim)
    least = (1 - ROUNDING) * across.clip(0).prod(axis=1)
    return np.asarray((ends <= size).all(axis=1) & (scored.areas(corner, ends) >= least))


def faded(picture: Rgb, scored: Regions, x: int, y: int, mpp: float) -> Rgb:
    """Return a picture at ANALYSIS_MPP whose corner is (x, y), pale where nothing was scored."""
    height, width = picture.shape[:2]
    scale = ANALYSIS_MPP / mpp
    across, down = np.meshgrid(np.arange(width) + 0.5 + x, np.arange(height) + 0.5 + y)
    inside = scored.holds((across * scale).ravel(), (down * scale).ravel())
    pale = picture // 4 + 191
    return np.where(inside.reshape(height, width, 1), picture, pale).astype(np.uint8)


def gallery(slide: Pixels, cells: Cells, included: Bool, put: Put) -> list[dict[str, Any]]:
    """A row of example cells for each class that occurs, from the faintest to the darkest."""
    rows = []
    # a crop over the slide's edge shows half a cell: only where a class has no better
    half = CROP_UM / slide.mpp / 2
    inside = (cells.x >= half) & (cells.x < slide.width - half)
    inside &= (cells.y >= half) & (cells.y < slide.height - half)
    for label, name in enumerate(CLASSES):
        members = included & (cells.label == label)
        better = members & inside
        chosen = spread(cells.intensity, better if better.any() else members)
        if not len(chosen):
            continue
        strip = np.full((CROP_PX, EXAMPLES * CROP_PX, 3), 255, np.uint8)
        examples = []
        for place, number in enumerate(chosen.tolist()):
            scale = slide.mpp / ANALYSIS_MPP
            x = round(cells.x[number] * scale - CROP_PX / 2)
            y = round(cells.y[number] * scale - CROP_PX / 2)
            crop = slide.read(x, y, CROP_PX, CROP_PX, ANALYSIS_MPP)
            strip[:, place * CROP_PX : (place + 1) * CROP_PX] = crop
            examples.append(
                {
                    "cell": number,
                    "intensity": round(float(cells.intensity[number]), 3),
                    "completeness": round(float(cells.unshared[number]), 3),
                    "outline": outline(cells.membrane[number], slide.mpp, x, y),
                }
            )
        row = {"class": name, "sha256": put(jpeg(strip)), "side": CROP_PX, "examples": examples}
        rows.append(row)
    return rows


def spread(intensity: Float, members: Bool) -> npt.NDArray[np.intp]:
    """Up to EXAMPLES of the members, bool (n,), evenly over their range of intensity."""
    numbers = np.flatnonzero(members)
    ordered = numbers[np.argsort(intensity[numbers], kind="stable")]
    if len(ordered) <= EXAMPLES:
        return ordered
    middle = (np.arange(EXAMPLES) + 0.5) / EXAMPLES
    return ordered[(middle * len(ordered)).astype(np.intp)]


def outline(points: Float, mpp: float, x: int, y: int) -> list[list[float]]:
    """Level-0 corners (16, 2) as px of a picture at ANALYSIS_MPP whose corner is (x, y)."""
    placed: list[list[float]] = (
        (points.astype(np.float64) * (mpp / ANALYSIS_MPP) - (x, y)).round(1).tolist()
    )
    return placed
