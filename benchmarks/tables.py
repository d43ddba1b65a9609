"""The tables of docs/methods.md: methods at equal image passes on public sets and the phantom.

`python -m benchmarks.tables [--sets em drive dsb phantom] [--methods …] [--jobs 2]`. A set takes
about half an hour on four cores; killed, it goes on where it was. Options that are not its own
are `membrana benchmark`'s, and come after the protocol's: `--active` simulates active learning,
`--variants benchmarks/ablation.toml` turns switches. The public sets are read from
MEMBRANA_TEST_DATA, and no image of theirs is kept here: their pictures stay in the folder of the
trainings.
"""

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

DATA = Path(os.environ.get("MEMBRANA_TEST_DATA", "../shared/data")).resolve()
RESULTS = Path(__file__).parent / "results"
EM, DRIVE, DSB = (
    DATA / name for name in ("em_membrane_isbi2012", "vessels_drive", "nuclei_dsb2018_hist")
)
BLOCK = 3
"""Neighbouring sections of the serial set are alike: three of them are one group."""
PROTOCOL = ("--budget", "12000", "--crop", "64", "--batch", "8", "--learning-rate", "0.005")
METHODS = (
    *("supervised", "mean-teacher", "cps", "ucmt"),
    *("eugmt-paper", "eugmt-plus", "unimatch"),
)


def blocks(folder: Path) -> Path:
    """Write which block each section of the serial set belongs to."""
    path = folder / "blocks.csv"
    with path.open("w", newline="") as file:
        for number, image in enumerate(sorted((EM / "images").iterdir())):
            csv.writer(file).writerow([image.name, f"block{number // BLOCK}"])
    return path


def phantom(folder: Path) -> Path:
    """Draw ten synthetic slides."""
    written = folder / "phantom"
    shape = ("--slides", "10", "--patches", "24", "--seed", "0")
    subprocess.run([sys.executable, "-m", "models.phantom.patches", written, *shape], check=True)
    return written


def words_of(name: str, folder: Path) -> list[str | Path]:
    """Return the options of `membrana benchmark` that say what a set is."""
    if name == "em":
        place = ("--images", EM / "images", "--masks", EM / "labels", "--groups", blocks(folder))
        return [*place, "--positive", "0", "--strong", "colour"]
    if name == "drive":
        pairs = ("--images", DRIVE / "images", "--masks", DRIVE / "1st_manual")
        return [*pairs, "--region", DRIVE / "mask", "--positive", "255", "--strong", "colour"]
    if name == "dsb":
        pairs = ("--images", DSB / "images", "--masks", DSB / "labels")
        return [*pairs, "--positive", "any", "--strong", "colour"]
    written = phantom(folder)
    pairs = ("--images", written / "images", "--masks", written / "masks")
    return [*pairs, "--groups", written / "groups.csv", "--positive", "255", "--strong", "stain"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["em", "drive", "dsb", "phantom"])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--labelled", nargs="+", default=["0.02", "0.05"])
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--into", type=Path, default=RESULTS / "tables")
    arguments, more = parser.parse_known_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    arguments.into.mkdir(parents=True, exist_ok=True)
    for name in arguments.sets:
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "worker.cli", "benchmark", *PROTOCOL]
            command += ["--name", name, *map(str, words_of(name, Path(folder)))]
            command += ["--methods", *arguments.methods, "--labelled", *arguments.labelled]
            command += ["--seeds", arguments.seeds, "--jobs", arguments.jobs]
            command += ["-o", str(arguments.into / f"{name}.json"), *more]
            subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
