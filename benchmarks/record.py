"""Write what a benchmark measured beside where and with what it was measured."""

import json
from pathlib import Path
from typing import Any

from models.study.machine import describe

RESULTS = Path(__file__).parent / "results"


def record(name: str, figures: dict[str, Any]) -> None:
    """Print the figures and keep them as results/<name>.json."""
    result = {"benchmark": name, **describe(), **figures}
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
