"""With what and where something was measured: stands beside every figure that is kept."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy",
    "torch",
    "opencv-python-headless",
    "openslide-python",
    "openvino",
    "scipy",
    "zarr",
    "cleanlab",
)


def describe() -> dict[str, Any]:
    """Return time, commit, machine and library versions as JSON types."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def commit() -> str:
    """Return the source's commit; `unknown` outside a repository."""
    try:
        process = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parent,
        )
    except OSError:
        return "unknown"
    return process.stdout.strip() or "unknown"
