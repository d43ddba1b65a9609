"""`docs/eugmt.md` has all 58 gaps, and what it says of defaults and files is so."""

import re
from pathlib import Path

from models.presets import PRESETS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "eugmt.md").read_text()


def test_every_gap_has_its_row():
    numbers = re.findall(r"^\| \**(\d+)\** \|", TEXT, re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 59))


def test_defaults_are_what_the_papers_preset_has():
    document = PRESETS["eugmt-paper"].document()
    has = document | document["options"]
    said = re.findall(r"`(\w+)=([^`]+)`", TEXT)
    assert len(said) > 20
    for name, value in said:
        assert str(has[name]) == value.strip('"'), name


def test_files_are_there():
    files = set(re.findall(r"`((?:models|benchmarks)/[\w/]+\.\w+)`", TEXT))
    assert len(files) > 15
    assert [name for name in files if not (ROOT / name).is_file()] == []
