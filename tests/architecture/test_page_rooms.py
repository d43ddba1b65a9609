"""The page's source has rooms, each of which knows only those below; no files go in a circle."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "backend" / "web" / "src"
ROOMS = ("api", "masks", "shell", "drafts", "learning", "viewer", "editing", "her2", "pages")
"""From the ground up. Types may be named from above: they are gone when the page runs."""
ENTRANCE = {"main", "app", "route", "store"}
IMPORT = re.compile(r'^(?:import|export)\s(?!type\b)[^;]*?from "(\.[^"]+)"', re.MULTILINE)


def imports() -> dict[str, set[str]]:
    """Return which files each file imports when it runs, as paths without endings."""
    files = [path for path in SOURCE.rglob("*.ts*") if not path.name.endswith(".d.ts")]
    found = {}
    for path in files:
        places = (path.parent / each for each in IMPORT.findall(path.read_text()))
        named = {place.resolve().relative_to(SOURCE).as_posix() for place in places}
        found[path.relative_to(SOURCE).with_suffix("").as_posix()] = named
    return found


def room(name: str) -> str:
    return name.partition("/")[0]


def test_a_room_knows_only_those_below() -> None:
    graph = imports()
    assert {name for name in graph if "/" not in name} == ENTRANCE
    assert {room(name) for name in graph if "/" in name} == set(ROOMS)
    upward = [
        f"{name} → {other}"
        for name, others in graph.items()
        for other in others
        if room(name) in ROOMS and room(other) in ROOMS
        if ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]
    assert not upward


def test_no_file_of_the_page_imports_itself_by_a_detour() -> None:
    graph = imports()
    assert sum(len(others) for others in graph.values()) > len(graph)
    list(TopologicalSorter(graph).static_order())
