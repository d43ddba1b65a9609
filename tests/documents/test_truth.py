"""README and docs name what there is: files, commands, settings, addresses, words of the page."""

import re
from dataclasses import asdict
from functools import cache

import pytest
from typer.main import get_command

from backend.app import create_app
from backend.settings import Settings
from documents.register import ROOT, documents
from models.presets import PRESETS
from worker.cli import main  # noqa: F401 - it registers every command

PATHS = ("backend", "worker", "models", "tests", "benchmarks", "docs", "documents", "migrations")
CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMES = [str(path.relative_to(ROOT)) for path in documents()]


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


@cache
def code_of(name: str) -> list[str]:
    """Return what a document sets in code, line breaks within a paragraph joined."""
    text = text_of(name)
    prose = re.sub(r"(?<=[^\n])\n(?=[^\n|#-])", " ", FENCED.sub("", text))
    return CODE.findall(prose) + [
        line for block in FENCED.findall(text) for line in block.split("\n")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    named = {
        word.rstrip("/")
        for code in code_of(name)
        for word in code.split()
        if word.startswith(tuple(f"{each}/" for each in PATHS)) and "{" not in word
    }
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    here = (ROOT / name).parent
    targets = [target.partition("#")[0] for target in LINK.findall(text_of(name))]
    assert not [target for target in targets if target and not (here / target).exists()]


def test_the_index_leads_to_every_document() -> None:
    linked = set(LINK.findall(text_of("docs/README.md")))
    assert linked == {path.name for path in documents()[1:]} - {"README.md"}


def test_the_readme_can_be_read() -> None:
    assert len(text_of("README.md").splitlines()) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_every_command_that_is_named_exists(name: str) -> None:
    from backend.cli import app

    root = get_command(app)
    unknown = []
    for code in code_of(name):
        for call in re.findall(r"(?:^|[\s/])membrana ([a-z][^`]*)", code):
            words = call.split()
            command, group = root, root
            for word in words:
                subcommands = getattr(group, "commands", None)
                if subcommands is None:
                    break
                command = subcommands.get(word.split("|")[0])
                if command is None:
                    unknown.append(call)
                    break
                group = command
            options = {option for param in getattr(command, "params", ()) for option in param.opts}
            unknown += [
                word
                for word in re.findall(r"--[a-z][a-z0-9-]*", call)
                if command is not None and word not in options
            ]
    assert not unknown


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    known = {f"MEMBRANA_{field.upper()}" for field in Settings.model_fields}
    known |= {"MEMBRANA_TEST_DATA", "MEMBRANA_URL", "MEMBRANA_TOKEN"}
    assert set(re.findall(r"MEMBRANA_[A-Z_]+[A-Z]", text_of(name))) <= known


@cache
def addresses() -> frozenset[tuple[str, str]]:
    """Return methods and paths of the service, whatever their parameters are called."""
    return frozenset(
        (method.upper(), re.sub(r"\{[^}]+\}", "{}", path.removeprefix("/api/v1")))
        for path, methods in create_app().openapi()["paths"].items()
        for method in methods
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_address_that_is_named_exists(name: str) -> None:
    named = {
        (method, re.sub(r"\{[^}]+\}", "{}", path.partition("?")[0]))
        for code in code_of(name)
        for method, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/\S+)", code)
    }
    assert named <= addresses()


PAGE = ROOT / "backend" / "web" / "src"


@cache
def words_of_the_page() -> str:
    sources = [path for path in PAGE.rglob("*.ts*") if path.is_file()]
    return " ".join(" ".join(path.read_text().split()) for path in sources)


def test_the_guide_says_what_the_page_says() -> None:
    guide = " ".join(text_of("docs/guide.md").split())
    words = re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", guide)
    keys = re.findall(r"^\| \S.*? \| (.+) \|$", text_of("docs/guide.md"), re.MULTILINE)
    labels = [label for row in keys if row not in {"what", "---"} for label in row.split(", ")]
    assert len(words) > 20
    assert not [said for said in words + labels if said not in words_of_the_page()]


def test_the_papers_gaps_are_closed_as_is_said() -> None:
    """`name=value` in docs/eugmt.md is the value of the preset `eugmt-paper`."""
    said = [
        pair
        for code in code_of("docs/eugmt.md")
        if (pair := re.fullmatch(r"([a-z_]+)=(\S+)", code))
    ]
    config = PRESETS["eugmt-paper"]
    values = {**asdict(config), **asdict(config.options), **asdict(config.network)}
    assert len(said) > 20
    wrong = [pair[0] for pair in said if str(values.get(pair[1])) != pair[2].strip('"')]
    assert not wrong
