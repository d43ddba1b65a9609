"""Tables of tiles for the tests of the score document."""

import numpy as np

from models.her2.classes import CLASSES
from models.her2.tile_counts import TileCounts

IC = CLASSES.index("IC")


def table(counts, **more):
    """Tiles of 150 µm on a square board."""
    counts = np.asarray(counts, np.int32)
    side = int(np.ceil(np.sqrt(max(len(counts), 1))))
    rows, columns = np.divmod(np.arange(len(counts)), side)
    return TileCounts(counts, np.stack([columns, rows], axis=1) * 150.0, 150.0, **more)


def alike(tiles, cells, **shares):
    """Tiles with the same cells each."""
    row = [round(cells * shares.get(name, 0)) for name in CLASSES]
    row[0] = cells - sum(row)
    return table(np.tile(row, (tiles, 1)))


def patchy(rng, tiles, cells, share, correlation):
    """Intense complete cells with an intraclass correlation: a beta-binomial by tile."""
    both = 1 / correlation - 1
    hits = rng.binomial(cells, rng.beta(share * both, (1 - share) * both, tiles))
    counts = np.zeros((tiles, len(CLASSES)), np.int32)
    counts[:, 0], counts[:, IC] = cells - hits, hits
    return table(counts)
