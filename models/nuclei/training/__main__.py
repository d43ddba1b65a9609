"""`python -m models.nuclei.training OUT`: train the nucleus detector anew, from open data.

Deterministic on one machine and resumable: OUT/state.pt holds where it is, and one thread computes.
OUT/nuclei.safetensors and OUT/nuclei.json (data with sha256, licences, settings) are the result.
"""

import argparse
import os
import sys
from pathlib import Path

from models.nuclei.training.loop import STEPS, train


def main(arguments: list[str] | None = None) -> int:
    """Train; 0 on success."""
    parser = argparse.ArgumentParser(prog="python -m models.nuclei.training", description=__doc__)
    parser.add_argument("out", type=Path)
    data = Path(os.environ.get("MEMBRANA_TEST_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="folder of the open sets")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--without", action="append", default=[], help="a source of pictures to leave out"
    )
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    train(asked.out, asked.data, steps=asked.steps, seed=asked.seed, without=asked.without)
    return 0


if __name__ == "__main__":
    sys.exit(main())
