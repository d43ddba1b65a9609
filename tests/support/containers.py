"""What docker-compose.yml says, for tests that run the same processes without Docker."""

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
OURS = ("migrate", "api", "interactive", "gpu", "cpu")
"""The services that run Membrana's own image."""


def compose(path: Path = COMPOSE) -> dict[str, Any]:
    """Return the file's document, its YAML merges done."""
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def tool(name: str) -> str:
    """Return the program that a package of the tests' environment brings."""
    return str(Path(sys.executable).with_name(name))
