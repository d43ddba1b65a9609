"""Random numbers as functions of place: the same seed and place give the same value in any tile.

Every draw of the phantom is a hash of (seed, salt, lattice index), so a region can be rendered
alone and still fit its neighbours to the bit.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]
Places = npt.NDArray[np.floating[Any]]

_GRAIN_PX = 1021  # prime, so that the repeat never lines up with tiles


def uniform(seed: int, salt: int, row: Index, col: Index) -> Float:
    """Hash lattice places into [0, 1) by splitmix64's finaliser; row and col broadcast."""
    with np.errstate(over="ignore"):
        h = (
            row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            + col.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
            + np.uint64((seed * 0x165667B19E3779F9 + salt * 0x27D4EB2F165667C5) % 2**64)
        )
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(31)
    return ((h >> np.uint64(40)).astype(np.float32)) * np.float32(2.0**-24)


def _weights(position: Places, scale: float) -> tuple[Index, Float]:
    index = np.floor(position / scale)
    t = (position / scale - index).astype(np.float32)
    return index.astype(np.int64), t * t * t * (t * (t * 6 - 15) + 10)


def smooth(
    seed: int,
    salt: int,
    x_um: Places,
    y_um: Places,
    scale_um: float | tuple[float, float],
) -> Float:
    """Value noise in [-1, 1] on the grid of columns x_um (W,) and rows y_um (H,): float32 (H, W).

    scale_um is the lattice pitch, or (pitch across x, pitch across y).
    """
    scale_x, scale_y = scale_um if isinstance(scale_um, tuple) else (scale_um, scale_um)
    col, tx = _weights(x_um, scale_x)
    row, ty = _weights(y_um, scale_y)
    rows = np.arange(row[0], row[-1] + 2)[:, None]
    cols = np.arange(col[0], col[-1] + 2)[None, :]
    lattice = uniform(seed, salt, rows, cols) * 2 - 1
    left = lattice[:, col - col[0]]
    along = left + (lattice[:, col - col[0] + 1] - left) * tx
    top = along[row - row[0]]
    out: Float = top + (along[row - row[0] + 1] - top) * ty[:, None]
    return out


def smooth_at(seed: int, salt: int, x_um: Float, y_um: Float, scale_um: float) -> Float:
    """Value noise in [-1, 1] at scattered points."""
    col, tx = _weights(x_um.astype(np.float64), scale_um)
    row, ty = _weights(y_um.astype(np.float64), scale_um)
    corner = [[uniform(seed, salt, row + dr, col + dc) * 2 - 1 for dc in (0, 1)] for dr in (0, 1)]
    top = corner[0][0] + (corner[0][1] - corner[0][0]) * tx
    bottom = corner[1][0] + (corner[1][1] - corner[1][0]) * tx
    out: Float = top + (bottom - top) * ty
    return out


class Grain:
    """White Gaussian noise by pixel, periodic over a prime number of pixels."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng([seed, 77])
        self._plane = generator.standard_normal((_GRAIN_PX, _GRAIN_PX)).astype(np.float32)

    def at(self, x0: int, y0: int, width: int, height: int, *, salt: int = 0) -> Float:
        """Noise of the level-0 box, float32 (height, width), unit variance."""
        cols = (np.arange(x0, x0 + width) + salt * 311) % _GRAIN_PX
        rows = (np.arange(y0, y0 + height) + salt * 173) % _GRAIN_PX
        return self._plane[rows][:, cols]
