"""What a command writes into README.md and docs/ is as fresh as what it is made from."""

import re
from importlib import import_module

import pytest

from documents.__main__ import stale
from documents.passages import PassageError, by_hand, filled, names
from documents.register import PASSAGES, documents


def test_nothing_made_is_stale() -> None:
    assert not list(stale()), "run `make docs`"


def test_every_passage_stands_in_one_place() -> None:
    found = [name for path in documents() for name in names(path.read_text())]
    assert sorted(found) == sorted(PASSAGES)


MEASURED = re.compile(r"± \d|\b\d+\.\d{3,}\b|\b\d+\.\d+ (?:%|s\b|×)")
"""What figures of results look like: deviations, three decimals, shares, times."""


def test_no_figure_of_a_result_is_written_by_hand() -> None:
    found = {
        path.name: [
            line
            for part in by_hand(path.read_text())
            for line in re.sub(r"```.*?```|`[^`]*`", "", part, flags=re.DOTALL).splitlines()
            if MEASURED.search(line)
        ]
        for path in documents()
    }
    assert not {name: lines for name, lines in found.items() if lines}


def test_a_passage_is_written_between_its_markers_and_nowhere_else() -> None:
    text = "a\n<!-- make docs: x -->\nold\n<!-- end of x -->\nb\n"
    assert filled(text, {"x": lambda: "new"}) == text.replace("old", "new")
    assert filled(filled(text, {"x": lambda: "new"}), {"x": lambda: "old"}) == text


@pytest.mark.parametrize(
    "text",
    [
        "<!-- make docs: x -->\n",
        "<!-- make docs: x -->\n<!-- end of y -->\n",
        "<!-- make docs: x -->\n<!-- make docs: x -->\n<!-- end of x -->\n",
        "<!-- make docs: unknown -->\n<!-- end of unknown -->\n",
    ],
)
def test_a_marker_that_nothing_answers_to_is_an_error(text: str) -> None:
    with pytest.raises(PassageError):
        filled(text, {"x": lambda: "new"})


def test_the_pictures_program_finds_all_that_it_imports() -> None:
    import_module("documents.screenshots")
