"""The layers hold, and the service stays light."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "cv2", "scipy", "pyvips", "timm", "cleanlab", "sklearn")
LINES = 400
"""Past this a file is split by use case."""


def test_imports_keep_the_contracts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules of a fresh interpreter that ran a statement."""
    ask = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{ask}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_api_carries_no_heavy_library() -> None:
    loaded = modules_after("import backend.cli, backend.app\nbackend.app.create_app()")
    assert "fastapi" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint({"models", "worker"})
    assert loaded.isdisjoint({"celery", "kombu"}), "the broker is not needed to begin to answer"


def test_a_format_is_loaded_with_its_first_use() -> None:
    ask = (
        "import json, sys, backend.app; backend.app.create_app(); print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys, backend.app; {ask}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "backend.exchange.reports.formats" in loaded
    rooms = ("backend.exchange.masks.formats.", "backend.exchange.reports.formats.")
    assert [name for name in loaded if name.startswith(rooms)] == []


def test_the_parent_of_a_worker_carries_no_torch() -> None:
    loaded = modules_after("import worker.app")
    assert "celery" in loaded
    assert loaded.isdisjoint({"torch", "torchvision", "timm"})


def test_a_command_on_a_remote_service_opens_no_database() -> None:
    loaded = modules_after("import backend.cli, backend.client")
    assert loaded.isdisjoint({"sqlalchemy", "celery", "fastapi", "numpy"})


def test_files_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for folder in ("backend", "worker", "models")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        and (count := len(path.read_text().splitlines())) > LINES
    }
    assert not long
