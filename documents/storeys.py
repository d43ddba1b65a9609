"""The picture of backend/'s storeys in docs/architecture.md: floors from the contract that
`make lint` holds, rooms and arrows from the code.
"""

import tomllib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from documents.imports import Imports, graph, room, room_imports

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
WIDTH, LEFT, MARGIN = 1000, 130, 20
BOX, ROW, PADDING, ARC = 28, 38, 14, 34
LETTER = 7.2
"""Pixels of the picture; a letter's width is that of the 12 px monospace it is drawn in."""


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@cache
def floors() -> list[list[str]]:
    """Return the storeys from the top: each the folders or files of backend/ on one floor."""
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    ours = next(
        each
        for each in contracts
        if each["type"] == "layers" and each.get("containers") == ["backend"]
    )
    return [
        [name.strip(" ()") for name in layer.replace(":", "|").split("|")]
        for layer in ours["layers"]
    ]


@cache
def rooms() -> dict[int, list[str]]:
    """Return the rooms of each storey, those last that others of it import."""
    names = sorted({room(module) for module in graph().modules if module.startswith("backend.")})
    imports = room_imports("backend")
    by_floor: dict[int, list[str]] = defaultdict(list)
    for each in names:
        # a storey's own __init__ is no room
        if not is_storey(each, names):
            by_floor[floor_of(each)].append(each)

    return {floor: most_used_last(names, imports) for floor, names in by_floor.items()}


def most_used_last(names: list[str], imports: Imports) -> list[str]:
    """Order the rooms of a storey by how many of it import them."""
    users = {name: sum(one in names for one, other in imports if other == name) for name in names}
    return sorted(names, key=lambda name: (users[name], name))


def is_storey(name: str, others: list[str]) -> bool:
    return any(other.startswith(f"{name}.") for other in others)


def floor_of(name: str) -> int:
    """Return on which storey a room is, the top one 0."""
    top = name.split(".")[1]
    return next(number for number, names in enumerate(floors()) if top in names)


def upward() -> list[tuple[str, str]]:
    """Return the imports of a room by one below it."""
    return sorted(
        (one, other) for one, other in room_imports("backend") if floor_of(one) > floor_of(other)
    )


def svg() -> str:
    """Return the picture: a band a storey, arrows within it, red what still calls upward."""
    boxes: dict[str, Box] = {}
    parts: list[str] = []
    y = float(MARGIN)
    for number, names in enumerate(floors()):
        bottom = placed(rooms().get(number, []), y + PADDING, boxes)
        single = len({boxes[each].y for each in rooms().get(number, [])}) == 1
        arcs = inside(number) if single else []
        height = bottom - y + PADDING + (ARC if arcs else 0)
        parts.append(band(y, height, title(names)))
        parts += [arc(boxes[one], boxes[other]) for one, other in arcs]
        y += height + 6
    parts += [box(short(name), place) for name, place in boxes.items()]
    parts += [line(boxes[one], boxes[other]) for one, other in upward() if one in boxes]
    red = f"{len(upward())} calls upward are left (red)" if upward() else "no call upward is left"
    words = f"A storey knows only those below; arrows are imports within a storey; {red}."
    parts.append(f'<text x="{LEFT}" y="{y + 18:.0f}" class="word">{words}</text>')
    return HEAD.format(width=WIDTH, height=y + 32) + "\n".join(parts) + "\n</svg>\n"


def placed(names: list[str], top: float, boxes: dict[str, Box]) -> float:
    """Put the rooms of a storey side by side and return where they end."""
    x, y = float(LEFT), top
    for name in names:
        width = LETTER * len(short(name)) + 20
        if x + width > WIDTH - MARGIN:
            x, y = float(LEFT), y + ROW
        boxes[name] = Box(x, y, width)
        x += width + 10
    return y + BOX


def inside(number: int) -> list[tuple[str, str]]:
    """Return who imports whom on one storey."""
    here = rooms().get(number, [])
    return sorted(
        (one, other) for one, other in room_imports("backend") if one in here and other in here
    )


def title(names: list[str]) -> str:
    """Return a storey's name: its folders, or that it is files beside them."""
    packages = [name for name in names if graph().find_children(f"backend.{name}")]
    return ", ".join(packages) if packages else "backend/*.py"


def short(name: str) -> str:
    """Return a room's name without the storey's."""
    return name.rpartition(".")[2]


def band(y: float, height: float, name: str) -> str:
    return (
        f'<rect x="{MARGIN / 2:.0f}" y="{y:.0f}" width="{WIDTH - MARGIN}" height="{height:.0f}" '
        f'class="band"/><text x="{MARGIN}" y="{y + PADDING + 19:.0f}" class="storey">'
        f"{escape(name)}</text>"
    )


def box(name: str, at: Box) -> str:
    return (
        f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{BOX}" rx="4" '
        f'class="room"/><text x="{at.middle:.1f}" y="{at.y + 18:.1f}" class="name">'
        f"{escape(name)}</text>"
    )


def arc(one: Box, other: Box) -> str:
    """An arrow under the boxes of a storey, deeper the further it goes."""
    y = one.y + BOX
    depth = 12 + (ARC - 8) * min(1, abs(other.middle - one.middle) / 600)
    start = one.middle + (6 if other.middle > one.middle else -6)
    return (
        f'<path d="M{start:.1f} {y:.1f} C{start:.1f} {y + depth:.1f} {other.middle:.1f} '
        f'{y + depth:.1f} {other.middle:.1f} {y + 2:.1f}" class="arrow" marker-end="url(#head)"/>'
    )


def line(one: Box, other: Box) -> str:
    """A call upward."""
    return (
        f'<path d="M{one.middle:.1f} {one.y:.1f} L{other.middle:.1f} {other.y + BOX + 2:.1f}" '
        'class="upward" marker-end="url(#red)"/>'
    )


HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" \
font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">
<title>The storeys of backend/</title>
<style>
.band {{ fill: #f4f6f8; stroke: #c9d1d9 }} .room {{ fill: #ffffff; stroke: #57606a }}
.name {{ text-anchor: middle; fill: #1f2328 }} .storey {{ font-weight: bold; fill: #1f2328 }}
.word {{ fill: #57606a }} .arrow {{ fill: none; stroke: #8c959f }}
.upward {{ fill: none; stroke: #cf222e; stroke-opacity: 0.6 }}
</style>
<rect width="{width}" height="{height:.0f}" fill="#ffffff"/>
<defs>
<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" \
orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#8c959f"/></marker>
<marker id="red" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" \
orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#cf222e"/></marker>
</defs>
"""
