"""Who imports whom, from the code: files, rooms, and circles among them.

A room is the smallest package that holds a file, or a file that stands beside packages. A storey
is a folder of backend/ that holds such rooms.
"""

from functools import cache

import grimp
import networkx as nx

Imports = frozenset[tuple[str, str]]
ROOTS = ("backend", "worker", "models", "benchmarks", "documents")


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOTS, cache_dir=None)


def file_imports() -> Imports:
    """Return who imports whom among the files of backend, worker and models."""
    whole = graph()
    return frozenset(
        (module, other)
        for module in whole.modules
        for other in whole.find_modules_directly_imported_by(module)
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


def neighbour_imports() -> Imports:
    """Return who imports whom among what lies in one package: its files and its packages whole."""
    return frozenset(
        pair for one, other in file_imports() if (pair := neighbours(one, other)) is not None
    )


def neighbours(one: str, other: str) -> tuple[str, str] | None:
    """Return what holds each of two files in the smallest package that holds both."""
    parts, others = one.split("."), other.split(".")
    for depth, (part, others_part) in enumerate(zip(parts, others, strict=False), 1):
        if part != others_part:
            return ".".join(parts[:depth]), ".".join(others[:depth])
    return None


def room(module: str) -> str:
    """Return the package that a file lies in, or the file itself where packages lie beside it."""
    whole = graph()
    if whole.find_children(module):
        return module
    parent = module.rpartition(".")[0]
    beside = any(whole.find_children(child) for child in whole.find_children(parent))
    return module if beside or not parent else parent


def circles(imports: Imports) -> list[set[str]]:
    """Return the sets of things that all import each other, directly or through others."""
    imported = nx.DiGraph(imports)
    themselves = set(nx.nodes_with_selfloops(imported))
    together = nx.strongly_connected_components(imported)
    return sorted((each for each in together if len(each) > 1 or each & themselves), key=sorted)
