"""No circle: among files, among the rooms of a house, or among what lies in any one package."""

import pytest

from documents.imports import ROOTS, circles, file_imports, neighbour_imports, room_imports


def test_no_circle_among_files() -> None:
    assert circles(file_imports()) == []


def test_no_circle_among_the_files_and_packages_of_a_package() -> None:
    assert circles(neighbour_imports()) == []


@pytest.mark.parametrize("root", ROOTS)
def test_no_circle_among_rooms(root: str) -> None:
    assert any(one.startswith(f"{root}.") for one, _ in file_imports()), "nothing was read"
    assert circles(room_imports(root)) == []


def test_a_circle_is_found_however_long_it_is() -> None:
    imports = {("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "e"), ("d", "f")}
    assert circles(frozenset(imports)) == [{"a", "b", "c"}, {"e"}]


def test_a_package_is_whole_beside_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files that do not import each other make a circle of the packages that hold them."""
    imports = frozenset({("h.a.one", "h.b.one"), ("h.b.two.deep", "h.a.two"), ("h.a", "h.a.one")})
    assert circles(imports) == []
    monkeypatch.setattr("documents.imports.file_imports", lambda: imports)
    assert circles(neighbour_imports()) == [{"h.a", "h.b"}]
