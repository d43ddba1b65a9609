"""A domain's tables are its own: who asks the database for another's is counted, with the reason.

Counted is a file of backend/ and a table of another package that it puts into a statement or makes
rows of; a row that a service hands over, and a type in a signature, is no asking. Workers are not
counted: they read rows where they turn them into pixels, and ingest writes a slide's patches.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOINED = "one statement over both: rows of the one are chosen by columns of the other"
LOCKED = "holds or counts rows of the slide that the change is of"
REASONS = {
    "backend.learning.annotations.newest_masks": {"Slide": JOINED, "Patch": JOINED},
    "backend.learning.annotations.gold": {"Slide": LOCKED, "Patch": JOINED},
    "backend.learning.label_issues.service": {"Annotation": JOINED, "Patch": JOINED},
    "backend.learning.patch_views.service": {"PatchPrediction": JOINED, "Patch": JOINED},
    "backend.learning.predictions.results": {"Patch": JOINED},
    "backend.learning.predictions.service": {"ModelVersion": JOINED},
    "backend.learning.queue.influence": {"Patch": JOINED},
    "backend.learning.queue.order": {
        "PatchPrediction": JOINED,
        "Prediction": JOINED,
        "Patch": JOINED,
    },
    "backend.learning.statistics.service": {
        "Annotation": JOINED,
        "AnnotationProposal": JOINED,
        "ModelVersion": JOINED,
        "Patch": JOINED,
        "Round": JOINED,
        "Slide": JOINED,
    },
}
WRITING = {"insert", "update", "delete"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "backend").rglob("*.py")):
        if "node_modules" not in path.parts:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name, ast.parse(path.read_text())


def tables() -> set[tuple[str, str]]:
    """Return every table as (module, class)."""
    return {
        (name, each.name)
        for name, tree in sources()
        for each in tree.body
        if isinstance(each, ast.ClassDef)
        and any(
            isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__tablename__"
            for line in each.body
        )
    }


def annotations_of(tree: ast.Module) -> set[int]:
    """Return the nodes that only say of which type something is."""
    types: list[ast.expr | None] = []
    for node in ast.walk(tree):
        types.append(getattr(node, "returns", None))
        types.append(getattr(node, "annotation", None))
    return {id(part) for each in types if each is not None for part in ast.walk(each)}


def foreign(name: str, tree: ast.Module, known: set[tuple[str, str]]) -> set[str]:
    """Return the names by which a file knows tables of other packages."""
    here = name.rpartition(".")[0]
    return {
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for each in node.names
        if (node.module, each.name) in known and node.module.rpartition(".")[0] != here
    }


def assigned(tree: ast.Module, names: set[str]) -> Iterator[int]:
    """Yield the lines that set an attribute of a parameter whose type is one of these tables."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        rows = {
            each.arg
            for each in (*function.args.args, *function.args.kwonlyargs)
            if isinstance(each.annotation, ast.Name) and each.annotation.id in names
        }
        for node in ast.walk(function):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id in rows
                ):
                    yield target.lineno


def test_who_asks_for_anothers_tables_has_a_reason() -> None:
    known, uses = tables(), {}
    for name, tree in sources():
        if name == "backend.tables" or not (names := foreign(name, tree, known)):
            continue
        types = annotations_of(tree)
        used = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id in names and id(node) not in types
        }
        if used:
            uses[name] = used
    assert uses == {name: set(reasons) for name, reasons in REASONS.items()}
    assert sum(map(len, uses.values())) == 20, "at most as many; fewer is well done: say so here"


def test_nobody_writes_anothers_rows() -> None:
    known, wrong = tables(), []
    for name, tree in sources():
        names = foreign(name, tree, known)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            created = node.func.id in names
            of = [each.id for each in node.args if isinstance(each, ast.Name)]
            moved = node.func.id in {"move", "move_or_conflict"} and len(of) > 1 and of[1] in names
            if created or moved or (node.func.id in WRITING and names.intersection(of)):
                wrong.append(f"{name}:{node.lineno} {ast.unparse(node.func)}")
        wrong += [f"{name}:{line}" for line in assigned(tree, names)]
    assert wrong == []
