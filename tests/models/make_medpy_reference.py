"""Made `medpy_reference.json`; not run by the tests, as medpy is GPL and no part of Membrana.

In an environment of its own, from the repository's root: `uv venv /tmp/medpy`, `uv pip install
--python /tmp/medpy/bin/python medpy==0.5.2 setuptools`, then
`/tmp/medpy/bin/python tests/models/make_medpy_reference.py`. `pairs` is all that the tests import.
"""

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

SEEDS = range(30)
SIDE = 64


def pairs(seed):
    """Two masks (64, 64) that are alike: blobs for even seeds, thin lines for odd ones."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
    other = field + gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3) * rng.uniform(0.1, 1)
    if seed % 2:
        return np.abs(field) < 0.01, np.abs(other) < 0.012
    return field > 0.05, other > 0.04


def main():
    from medpy.metric import binary

    names = ("asd", "assd", "hd", "hd95", "dc", "jc", "precision", "recall")
    figures = {
        seed: {name: float(getattr(binary, name)(*pairs(seed))) for name in names} for seed in SEEDS
    }
    Path(__file__).with_name("medpy_reference.json").write_text(
        json.dumps(figures, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
