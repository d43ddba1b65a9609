"""Passages of a document that a command writes: between two markers, everything else by hand."""

import re
from collections.abc import Callable, Iterator, Mapping

MARKED = re.compile(
    r"^<!-- make docs: (?P<name>[a-z0-9-]+) -->\n(?P<body>.*?)"
    r"^<!-- end of (?P<end>[a-z0-9-]+) -->$",
    re.MULTILINE | re.DOTALL,
)
OPENED = re.compile(r"^<!-- make docs: ", re.MULTILINE)


class PassageError(Exception):
    """A marker that nothing answers to."""


def filled(text: str, makers: Mapping[str, Callable[[], str]]) -> str:
    """Return the text with every marked passage made anew.

    Raises PassageError for a passage that is not closed by its own name or that nobody makes.
    """
    for name in names(text):
        if name not in makers:
            raise PassageError(f"nothing makes the passage {name}: see documents/register.py")

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- make docs: {name} -->\n{makers[name]().strip()}\n<!-- end of {name} -->"

    return MARKED.sub(replacement, text)


def names(text: str) -> list[str]:
    """Return the names of the passages of a text. Raises PassageError as `filled`."""
    marked = []
    for match in MARKED.finditer(text):
        if match["name"] != match["end"] or OPENED.search(match["body"]):
            raise PassageError(f"the passage {match['name']} is not closed")
        marked.append(match["name"])
    if len(marked) != len(OPENED.findall(text)):
        raise PassageError("a passage is not closed")
    return marked


def by_hand(text: str) -> Iterator[str]:
    """Yield the parts of a text that no command writes."""
    end = 0
    for match in MARKED.finditer(text):
        yield text[end : match.start()]
        end = match.end()
    yield text[end:]


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
