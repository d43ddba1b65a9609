"""The report's figures as SVG, the same in PDF and HTML: bars, histograms, outlines on pictures.

Lengths are px of the drawing; pictures are JPEGs that lie inside as data.
"""

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from math import log10
from typing import Any

from backend.exchange.reports import words
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.content import Picture

PLACES = 8
"""Example cells of a class, side by side."""
TOWERING = 2.5
"""A column so many times as tall as the next is cut off."""
INK, FAINT_INK, PAPER = "#1f2a36", "#6b7783", "#ffffff"
MARK = "#00a3c4"
"""A hue that neither stain has."""
FONT = "Source Sans Pro, Source Sans 3, Segoe UI, Helvetica, Arial, sans-serif"


def svg(width: float, height: float, parts: Iterable[str], *, title: str) -> str:
    inner = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(width)} {number(height)}" '
        f'width="{number(width)}" height="{number(height)}" role="img" '
        f'font-family="{FONT}"><title>{escape(title)}</title>{inner}</svg>'
    )


def number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def text(
    x: float, y: float, words_: str, *, size: float = 11, anchor: str = "start", ink: str = INK
) -> str:
    return (
        f'<text x="{number(x)}" y="{number(y)}" font-size="{number(size)}" '
        f'text-anchor="{anchor}" fill="{ink}">{escape(words_)}</text>'
    )


def rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(width, 0))}" '
        f'height="{number(height)}" fill="{fill}" {more}/>'
    )


def line(x0: float, y0: float, x1: float, y1: float, ink: str, more: str = "") -> str:
    places = (number(each) for each in (x0, y0, x1, y1))
    a, b, c, d = places
    return f'<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" stroke="{ink}" {more}/>'


def path(points: Sequence[Sequence[float]], *, dx: float = 0, dy: float = 0) -> str:
    """Return the closed outline of points [x, y], moved by (dx, dy), as an SVG path."""
    places = " L".join(f"{number(x + dx)} {number(y + dy)}" for x, y in points)
    return f"M{places}Z"


def image(content: bytes, x: float, y: float, width: float, height: float) -> str:
    data = b64encode(content).decode()
    return (
        f'<image x="{number(x)}" y="{number(y)}" width="{number(width)}" '
        f'height="{number(height)}" href="data:image/jpeg;base64,{data}"/>'
    )


def class_bar(counts: Mapping[str, int]) -> str:
    """One bar of all cells, from unstained to intense complete."""
    total = sum(counts.values())
    shares = {name: counts[name] / total if total else 0 for name in CLASS_NAMES}
    labels = {name: name if share > 0.035 else "" for name, share in shares.items()}
    return stacked_bar(shares, words.COLOURS, labels, {"MC", "IP", "IC"}, "Cells by class")


def probability_bar(probability: Mapping[str, float]) -> str:
    """How often fields drawn anew from this slide would have given each category."""
    labels = {
        score: f"{score}: {100 * share:.0f} %" if share > 0.06 else ""
        for score, share in probability.items()
    }
    title = "Probability of each category"
    return stacked_bar(probability, words.SCORE_COLOURS, labels, words.DARK_SCORES, title)


def stacked_bar(
    shares: Mapping[str, float],
    colours: Mapping[str, str],
    labels: Mapping[str, str],
    dark: Collection[str],
    title: str,
) -> str:
    """Shares of 1 side by side. dark: on whose colours the labels are white."""
    width, height = 720.0, 26.0
    parts, x = [], 0.0
    for name, share in shares.items():
        parts.append(rect(x, 0, share * width, height, colours[name]))
        if label := labels[name]:
            middle, ink = x + share * width / 2, PAPER if name in dark else INK
            parts.append(text(middle, 17, label, size=12, anchor="middle", ink=ink))
        x += share * width
    parts.append(rect(0, 0, width, height, "none", f'stroke="{INK}" stroke-width="0.6"'))
    return svg(width, height, parts, title=title)


def intensity_histogram(histogram: Mapping[str, Any], thresholds: Mapping[str, Any]) -> str:
    """Cells by intensity, stacked by how complete their membrane is."""
    kinds = (
        ("none", words.COLOURS["N"], "not stained"),
        ("partial", words.COLOURS["WP"], "partial"),
        ("complete", words.COLOURS["MC"], "complete"),
    )
    series = [(histogram[name], colour, label) for name, colour, label in kinds]
    marks = [
        (float(thresholds[name]), name[2:])
        for name in ("t_faint", "t_weak", "t_moderate", "t_intense")
    ]
    return histogram_of(
        series, histogram["step"], marks, "Membrane intensity (log10 optical density of DAB)"
    )


def completeness_histogram(histogram: Mapping[str, Any], thresholds: Mapping[str, Any]) -> str:
    """Cells by the stained share of their own membrane."""
    marks = [(float(thresholds["c_any"]), "stained"), (float(thresholds["c_full"]), "complete")]
    series = [(histogram["cells"], words.COLOURS["WC"], "cells")]
    return histogram_of(
        series, histogram["step"], marks, "Stained share of the cell's own membrane"
    )


def histogram_of(
    series: Sequence[tuple[Sequence[int], str, str]],
    step: float,
    marks: Sequence[tuple[float, str]],
    caption: str,
) -> str:
    """Stacked bars with thresholds as dashed lines; an axis that ends at a round number."""
    width, height, left, top, bottom = 350.0, 194.0, 46.0, 46.0, 38.0
    bins = len(series[0][0])
    sums = [sum(counts[place] for counts, _, _ in series) for place in range(bins)]
    most = rounded_up(second if (second := sorted(sums)[-2]) * TOWERING < max(sums) else max(sums))
    across, down = (width - left - 8) / bins, (height - top - bottom) / most
    floor = height - bottom
    parts = []
    for share in (0, 0.5, 1):
        y = floor - share * most * down
        parts.append(line(left, y, width - 8, y, "#d5dbe1", 'stroke-width="0.6"'))
        parts.append(text(left - 4, y + 4, number(share * most), anchor="end", ink=FAINT_INK))
    for place in range(bins):
        at, below = left + place * across, 0
        for counts, colour, _ in series:
            shown = min(counts[place], most - below)
            below += shown
            bar = rect(at, floor - below * down, across - 0.5, shown * down, colour)
            parts.append(bar if shown else "")
    for row, (value, label) in enumerate(marks):
        x = left + value / step * across
        parts.append(line(x, top - 2, x, floor, INK, 'stroke-width="0.8" stroke-dasharray="3 2"'))
        parts.append(text(x, top - 5 - 11 * (row % 2), label, size=9.5, anchor="middle"))
    for place in range(bins):
        if sums[place] > most:
            # a column that would flatten all others is cut off and says how tall it is
            x, cut = left + (place + 1) * across, f"↑ {sums[place]}"
            parts.append(rect(x + 1, top, 5.4 * len(cut), 12, PAPER))
            parts.append(text(x + 3, top + 9, cut, size=9.5))
    ticks = 4
    for tick in range(ticks + 1):
        value = tick * bins * step / ticks
        x = left + tick * bins * across / ticks
        parts.append(text(x, floor + 13, f"{value:g}", anchor="middle", ink=FAINT_INK))
    parts.append(text(left, height - 8, caption))
    parts.append(text(left - 4, top - 8, "cells", anchor="end", ink=FAINT_INK))
    if len(series) > 1:
        x = width - 8
        for _, colour, label in reversed(series):
            x -= 6.2 * len(label)
            parts.append(text(x, 9, label, size=10))
            parts.append(rect(x - 12, 1, 9, 9, colour))
            x -= 20
    return svg(width, height, parts, title=caption)


def rounded_up(value: int) -> int:
    """Return the next 1, 2 or 5 times a power of ten."""
    power: int = 10 ** int(log10(max(value, 1)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def overview(figure: Mapping[str, Any], picture: Picture, *, heat: bool) -> str:
    """The tissue with its regions; with `heat`, each tile in the colour of its own category."""
    width, height = figure["width"], figure["height"]
    # drawn at the picture's own size, so lines and letters are in proportion to it
    unit = max(width, height) / 800
    parts = [image(picture(figure["sha256"]), 0, 0, width, height)]
    if heat:
        scored = [tile for tile in figure["tiles"] if tile["score"] is not None]
        tiles = [heat_tile(tile, figure["tile_px"], unit) for tile in scored]
        parts += clipped(tiles, figure["clip"]) if "clip" in figure else tiles
    for region in figure["regions"]:
        colour = words.REGION_COLOURS[region["kind"]]
        left_out = region["kind"] != "tumour"
        dash = f'stroke-dasharray="{number(9 * unit)}"' if left_out else ""
        outline = "".join(path(ring) for ring in region["rings"])
        parts.append(
            f'<path d="{outline}" fill="{colour if left_out else "none"}" fill-opacity="0.4" '
            f'fill-rule="evenodd" stroke="{colour}" stroke-width="{number(4 * unit)}" {dash}/>'
        )
    parts.append(scale_bar(width, height, figure["um_per_px"], unit))
    title = "Categories of tiles" if heat else "Overview with regions"
    return svg(width, height, parts, title=title)


def heat_tile(tile: Mapping[str, Any], side: float, unit: float) -> str:
    """A tile in the colour of its category, and its name where it can be read.

    Over brown tissue a light orange is soon taken for a lighter one of the legend.
    """
    x, y, score = tile["x"], tile["y"], tile["score"]
    square = rect(x, y, side, side, words.SCORE_COLOURS[score], 'fill-opacity="0.7"')
    size = 24 * unit
    if side < 2 * size or score == "not assessable":
        return square
    ink = PAPER if score in words.DARK_SCORES else INK
    middle = (x + side / 2, y + side / 2 + size / 3)
    return square + text(*middle, score, size=size, anchor="middle", ink=ink)


def clipped(parts: Iterable[str], rings: Iterable[Sequence[Sequence[float]]]) -> list[str]:
    """Show parts of a drawing only inside of rings; a ring in a ring is a hole."""
    inside = "".join(path(ring) for ring in rings)
    return [
        f'<clipPath id="scored"><path d="{inside}" clip-rule="evenodd"/></clipPath>',
        '<g clip-path="url(#scored)">',
        *parts,
        "</g>",
    ]


def scale_bar(width: float, height: float, um_per_px: float, unit: float) -> str:
    """A bar of a round length, about a fifth of the picture."""
    length = rounded_up(max(1, int(width * um_per_px / 8)))
    across = length / um_per_px
    x, y = width - across - 24 * unit, height - 24 * unit
    label = f"{length / 1000:g} mm" if length >= 1000 else f"{length} µm"
    return "".join(
        [
            rect(x - 12 * unit, y - 34 * unit, across + 24 * unit, 48 * unit, PAPER),
            rect(x, y, across, 4 * unit, INK),
            text(x + across / 2, y - 8 * unit, label, size=25 * unit, anchor="middle"),
        ]
    )


def field(figure: Mapping[str, Any], picture: Picture, *, outlined: bool) -> str:
    """A tile at full size, bare or with each cell's outline in the colour of its class."""
    side = figure["side"]
    parts = [image(picture(figure["sha256"]), 0, 0, side, side)]
    if outlined:
        for cell in figure["outlines"]:
            outline = path(cell["points"])
            colour = words.COLOURS[cell["class"]]
            parts.append(
                f'<path d="{outline}" fill="{colour}" fill-opacity="0.35" stroke="{colour}" '
                f'stroke-width="2.4"/>'
            )
    return svg(side, side, parts, title=f"Field: {figure['rule']}")


def gallery_row(row: Mapping[str, Any], picture: Picture) -> str:
    """Example cells of a class side by side, with the contour of the cell that is meant."""
    side = row["side"]
    parts = [image(picture(row["sha256"]), 0, 0, PLACES * side, side)]
    for place, example in enumerate(row["examples"]):
        outline = path(example["outline"], dx=place * side)
        parts.append(
            f'<path d="{outline}" fill="none" stroke="{PAPER}" stroke-width="2.6" '
            f'stroke-opacity="0.55"/>'
            f'<path d="{outline}" fill="none" stroke="{MARK}" stroke-width="1.3"/>'
        )
        if place:
            x = place * side
            parts.append(line(x, 0, x, side, PAPER, 'stroke-width="3"'))
    name = CLASS_NAMES[row["class"]]
    return svg(PLACES * side, side, parts, title=f"Examples: {name}")
