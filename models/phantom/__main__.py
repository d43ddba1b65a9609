"""`python -m models.phantom OUT.tif`: write a synthetic slide and its truth."""

import argparse
import sys
import time
from pathlib import Path

from models.phantom.slide import write
from models.phantom.spec import MIXES, PhantomSpec


def main(arguments: list[str] | None = None) -> int:
    """Write one phantom; 0 on success."""
    default = PhantomSpec()
    parser = argparse.ArgumentParser(prog="python -m models.phantom", description=__doc__)
    parser.add_argument("out", type=Path, help="slide to write; truth goes to OUT's stem .truth.*")
    parser.add_argument("--width", type=int, default=default.width, help="level-0 px")
    parser.add_argument("--height", type=int, default=default.height, help="level-0 px")
    parser.add_argument("--mpp", type=float, default=default.mpp, help="µm per px")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--score", choices=list(MIXES), default=default.her2)
    parser.add_argument("--tumour", type=float, default=default.tumour)
    parser.add_argument("--jpeg-quality", type=int, default=default.jpeg_quality)
    parser.add_argument("--pen", action="store_true", help="draw a pen stroke")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--progress", action="store_true", help="report progress on stderr")
    asked = parser.parse_args(arguments)
    spec = PhantomSpec(
        width=asked.width,
        height=asked.height,
        mpp=asked.mpp,
        seed=asked.seed,
        her2=asked.score,
        tumour=asked.tumour,
        jpeg_quality=asked.jpeg_quality,
        pen=asked.pen,
    )

    def report(share: float) -> None:
        sys.stderr.write(f"\r{100 * share:5.1f} %")

    start = time.monotonic()
    done = write(
        spec, asked.out, threads=asked.threads, progress=report if asked.progress else None
    )
    sys.stdout.write(
        f"{done.slide}: synthetic, {spec.width}×{spec.height} px, score {done.score} "
        f"({done.reason}), {time.monotonic() - start:.1f} s\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
