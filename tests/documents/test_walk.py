"""The newcomer's walk in docs/architecture.md is true: its files are there, in one direction."""

import re
from itertools import combinations
from pathlib import PurePosixPath

import pytest

from documents.imports import file_imports
from documents.register import ROOT

MOST = 8
TEXT = (ROOT / "docs" / "architecture.md").read_text().partition("## A newcomer's walk")[2]
WALKS = {
    title: body for title, _, body in (part.partition("\n") for part in TEXT.split("\n### ")[1:])
}
STEP = re.compile(r"^\d+\. `([^`]+)`: .+", re.MULTILINE)
HANDED_OVER = re.compile(r"^\*[^*]+\.\*$", re.MULTILINE)
FILE = re.compile(r"`(\S+/\S+)`")
"""Where one process hands over to another: the files after it begin anew."""
IMPORTED = re.compile(r"""(?:from|import) ["'](\.[^"']+)["']""")


def steps(title: str) -> list[list[str]]:
    """Return the files of a walk, a list for each process."""
    return [STEP.findall(part) for part in HANDED_OVER.split(WALKS[title])]


def knows(one: str, other: str) -> bool:
    """Say whether a file imports another, in Python or in the page's source."""
    if one.endswith(".py"):
        modules = [path.removesuffix(".py").replace("/", ".") for path in (one, other)]
        return (modules[0], modules[1]) in file_imports()
    here = (ROOT / one).parent
    found = {(here / name).resolve() for name in IMPORTED.findall((ROOT / one).read_text())}
    return (ROOT / other).with_suffix("") in found


def test_there_are_four_walks() -> None:
    assert len(WALKS) == 4


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_is_short_and_its_files_exist(title: str) -> None:
    files = FILE.findall(WALKS[title])
    assert {file for part in steps(title) for file in part} <= set(files)
    assert 2 < len(files) <= MOST
    assert len(set(files)) == len(files)
    assert all((ROOT / file).is_file() for file in files)
    assert all(PurePosixPath(file).suffix in {".py", ".ts", ".tsx"} for file in files)


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_goes_in_one_direction(title: str) -> None:
    for part in steps(title):
        back = [(later, before) for before, later in combinations(part, 2) if knows(later, before)]
        assert back == []
        unknown = [
            file
            for number, file in enumerate(part)
            if number and not any(knows(before, file) for before in part[:number])
        ]
        assert unknown == [], "no file before these knows them"
