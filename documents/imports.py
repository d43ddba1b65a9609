"""Who imports whom, from the code: files, rooms, and circles among them.

A room is the smallest package that holds a file, or a file that stands beside packages. A storey
is a folder of backend/ that holds such rooms.
"""

from collections import defaultdict
from functools import cache

import grimp

Imports = frozenset[tuple[str, str]]
ROOTS = ("backend", "worker", "models")


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOTS, cache_dir=None)


def file_imports() -> Imports:
    """Return who imports whom among the files of backend, worker and models."""
    found = graph()
    return frozenset(
        (module, other)
        for module in found.modules
        for other in found.find_modules_directly_imported_by(module)
    )


def room_imports(root: str) -> Imports:
    """Return who imports whom among the rooms of one of the three."""
    rooms = {module: room(module) for module in graph().modules}
    return frozenset(
        (rooms[module], rooms[other])
        for module, other in file_imports()
        if rooms[module] != rooms[other]
        and all(each.startswith(f"{root}.") for each in (rooms[module], rooms[other]))
    )


def room(module: str) -> str:
    """Return the package that a file lies in, or the file itself where packages lie beside it."""
    found = graph()
    if found.find_children(module):
        return module
    parent = module.rpartition(".")[0]
    beside = any(found.find_children(child) for child in found.find_children(parent))
    return module if beside or not parent else parent


def circles(imports: Imports) -> list[frozenset[str]]:
    """Return the sets of things that all import each other, directly or through others."""
    after = reached(imports)
    found = {
        frozenset(other for other in after if other in after[each] and each in after[other])
        for each in after
        if each in after[each]
    }
    return sorted(found, key=sorted)


def reached(imports: Imports) -> dict[str, set[str]]:
    """Return all that each thing imports, directly or through others."""
    direct: dict[str, set[str]] = defaultdict(set)
    for one, other in imports:
        direct[one].add(other)
    found = {}
    for start in list(direct):
        seen: set[str] = set()
        left = list(direct[start])
        while left:
            each = left.pop()
            if each not in seen:
                seen.add(each)
                left += direct.get(each, ())
        found[start] = seen
    return found
