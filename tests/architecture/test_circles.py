"""No circle among files, nor among the rooms of the three houses; the known ones shrink to none."""

import pytest

from documents.imports import ROOTS, circles, file_imports, room_imports

KNOWN: dict[str, set[tuple[str, str]]] = {
    "backend": set(),
    "worker": set(),
    "models": {("models.networks", "models.architectures")},
}
"""Imports that close a circle among rooms. The wish: none. Without them there is none."""


def test_no_circle_among_files() -> None:
    assert circles(file_imports()) == []


@pytest.mark.parametrize("root", ROOTS)
def test_no_new_circle_among_rooms(root: str) -> None:
    assert [sorted(each) for each in circles(room_imports(root) - KNOWN[root])] == []


@pytest.mark.parametrize("root", ROOTS)
def test_a_circle_that_is_gone_is_no_longer_listed(root: str) -> None:
    imports = room_imports(root)
    left = imports - KNOWN[root]
    gone = {pair for pair in KNOWN[root] if pair not in imports or not circles(left | {pair})}
    assert not gone, "well done: take them out of KNOWN"


def test_a_circle_is_found_however_long_it_is() -> None:
    imports = {("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "e"), ("d", "f")}
    assert circles(frozenset(imports)) == [{"a", "b", "c"}, {"e"}]
