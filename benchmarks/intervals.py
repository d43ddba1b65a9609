"""How often the 95 % interval of a difference holds the truth, by the number of groups.

`python -m benchmarks.intervals [--times 600]`. Differences of groups are drawn from a normal
distribution whose mean is known; half a minute.
"""

import argparse

import numpy as np

from benchmarks.record import record
from models.metrics.differences import paired

GROUPS = (2, 3, 5, 10, 20)
TRUTH, SPREAD = 0.01, 0.03
SEED = 0


def held(groups: int, times: int, generator: np.random.Generator) -> float:
    """Return the share of intervals that hold the truth."""
    covering = 0
    for _ in range(times):
        differences = generator.normal(TRUTH, SPREAD, groups)
        interval = paired(differences.tolist(), [0.0] * groups)
        covering += interval.low <= TRUTH <= interval.high
    return covering / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=600)
    times = parser.parse_args().times
    generator = np.random.default_rng(SEED)
    shares = {str(groups): round(held(groups, times, generator), 4) for groups in GROUPS}
    record("intervals", {"seed": SEED, "times": times, "nominal": 0.95, "held": shares})


if __name__ == "__main__":
    main()
