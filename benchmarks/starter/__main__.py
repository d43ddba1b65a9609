"""`python -m benchmarks.starter`: train the starter model anew, and measure what it is worth.

`--choose` trains without two folds at a time and judges on the one that a choice may see,
`--judge` trains without one and judges there, once; without either both are done. Then the table
is written, and with `--ship` the weights and the card into the package: of the row that the Dice
on the cores chooses, or of `--row`, for a reason that docs/starter.md gives. Killed anywhere, it
goes on where it was: every training keeps its checkpoint and its result in `--folder`.
"""

import argparse
from pathlib import Path

from benchmarks.starter.rows import ROWS
from benchmarks.starter.shipping import ship
from benchmarks.starter.table import STARTERS, to_ship, write
from benchmarks.starter.trials import trials
from benchmarks.tables import DATA


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starter", description=__doc__)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--row", choices=STARTERS)
    parser.add_argument("--folder", type=Path, default=Path("starter.work"))
    asked = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not there: set MEMBRANA_TEST_DATA to the folder of public sets.")
    parts = [asked.judge] if asked.choose != asked.judge else [False, True]
    for judged in parts:
        for trial in trials(asked.rows, asked.folder, judged=judged):
            print(trial.row, "without", *trial.folds, flush=True)
            trial.run()
    if asked.choose == asked.judge:
        document = write(asked.folder)
        if asked.ship:
            ship(to_ship(document, asked.folder, asked.row), document)


if __name__ == "__main__":
    main()
