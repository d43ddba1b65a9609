"""The cells of a phantom: a jittered hexagonal lattice, its Voronoi cells bent by smooth noise.

A node's kind, size, stain and nucleus are hashes of its lattice index, so any tile knows them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.phantom.noise import Float, Index, Places, smooth, smooth_at, uniform
from models.phantom.spec import CLASSES, PhantomSpec

GLASS, LUMEN, STROMA, TUMOUR = range(4)
_ROW = 0.8660254
_JITTER = 0.30
_WARPS = (
    (11, 12, 45.0, 7.0),
    (13, 14, 14.0, 1.7),
    (15, 16, 4.2, 0.45),
)  # salts x and y, scale µm, amplitude µm
_LEVELS = np.array([0.0, 0.15, 0.26, 0.44, 0.68], np.float32)
_SPANS = np.array([0.0, 0.09, 0.15, 0.2, 0.35], np.float32)
_HALF_WIDTH_UM = np.array([0.0, 0.5, 0.55, 0.68, 0.85], np.float32)


@dataclass(frozen=True)
class Nodes:
    """Attributes of a block of lattice nodes, float32 (R, C) unless said; µm in warped space."""

    row0: int
    col0: int
    pitch: float
    x: Float
    y: Float
    weight: Float
    kind: npt.NDArray[np.int8]
    label: npt.NDArray[np.int8]
    """Index into CLASSES; −1 where the node is no tumour cell."""
    level: Float
    complete: Float
    lobes: Float
    phase: Float
    half_width: Float
    cytoplasm: Float
    axis_a: Float
    axis_b: Float
    cos: Float
    sin: Float
    shift_x: Float
    shift_y: Float
    nucleus_h: Float
    nucleus_d: Float


def warp(spec: PhantomSpec, x: Places, y: Places) -> tuple[Float, Float]:
    """Map the grid of columns x and rows y (µm) into the lattice's space: two float32 (H, W)."""
    wx = np.broadcast_to(x.astype(np.float32), (len(y), len(x))).copy()
    wy = np.broadcast_to(y.astype(np.float32)[:, None], (len(y), len(x))).copy()
    for salt_x, salt_y, scale, amplitude in _WARPS:
        wx += smooth(spec.seed, salt_x, x, y, scale) * np.float32(amplitude)
        wy += smooth(spec.seed, salt_y, x, y, scale) * np.float32(amplitude)
    return wx, wy


def unwarp(spec: PhantomSpec, wx: Float, wy: Float) -> tuple[Float, Float]:
    """Invert `warp` at scattered points by fixed-point iteration (the warp is a contraction)."""
    x, y = wx.copy(), wy.copy()
    for _ in range(12):
        dx, dy = np.zeros_like(x), np.zeros_like(y)
        for salt_x, salt_y, scale, amplitude in _WARPS:
            dx += smooth_at(spec.seed, salt_x, x, y, scale) * np.float32(amplitude)
            dy += smooth_at(spec.seed, salt_y, x, y, scale) * np.float32(amplitude)
        x, y = wx - dx, wy - dy
    return x, y


def tissue_depth(spec: PhantomSpec, x: Float, y: Float) -> Float:
    """Depth below the tissue's outline as a share of the slide's half size; < 0 is glass."""
    if not spec.outline:
        return np.ones_like(x)
    w, h = spec.width * spec.mpp, spec.height * spec.mpp
    u, v = (x / w - 0.5) * 2, (y / h - 0.5) * 2
    size = min(w, h)
    wobble = smooth_at(spec.seed, 21, x, y, size / 3.1) * np.float32(0.22)
    wobble += smooth_at(spec.seed, 22, x, y, size / 11) * np.float32(0.07)
    wobble += smooth_at(spec.seed, 23, x, y, 60.0) * np.float32(min(0.05, 12 / size))
    out: Float = np.float32(0.80) + wobble - np.sqrt(u * u + v * v)
    margin = (0.97 - np.maximum(np.abs(u), np.abs(v))).astype(np.float32)
    depth: Float = np.minimum(out, margin)
    return depth


def _kinds(spec: PhantomSpec, x: Float, y: Float, chance: Float) -> npt.NDArray[np.int8]:
    seed = spec.seed
    islands = smooth_at(seed, 31, x, y, 260.0) * 0.6 + smooth_at(seed, 32, x, y, 90.0) * 0.4
    lumen = smooth_at(seed, 33, x, y, 70.0)
    gaps = smooth_at(seed, 34, x, y, 45.0)
    cut = np.float32((0.5 - spec.tumour) * 0.75)
    kind = np.where(islands > cut, TUMOUR, STROMA).astype(np.int8)
    kind[(kind == TUMOUR) & (lumen > 0.62)] = LUMEN
    kind[(kind == STROMA) & (gaps > 0.55)] = LUMEN
    kind[(kind == TUMOUR) & (chance < 0.03)] = STROMA  # single stromal cells among the tumour
    kind[tissue_depth(spec, x, y) < 0] = GLASS
    return kind


def nodes(spec: PhantomSpec, rows: Index, cols: Index) -> Nodes:
    """Nodes of lattice rows (R,) and columns (C,)."""
    seed, pitch = spec.seed, spec.cell_um
    r, c = np.broadcast_arrays(rows[:, None], cols[None, :])

    def u(salt: int) -> Float:
        return uniform(seed, salt, r, c)

    jitter = np.float32(2 * _JITTER * pitch)
    x = ((c + 0.5 + 0.5 * (r & 1)) * pitch).astype(np.float32) + (u(1) - 0.5) * jitter
    y = ((r + 0.5) * pitch * _ROW).astype(np.float32) + (u(2) - 0.5) * jitter
    kind = _kinds(spec, x, y, u(3))
    tumour = kind == TUMOUR
    # a third of the cells follow their neighbourhood's draw: clones, and shares that stay as asked
    clone = uniform(
        seed, 35, np.floor(y / 110).astype(np.int64), np.floor(x / 110).astype(np.int64)
    )
    patchy = np.where(u(21) < 0.33, (clone + 0.15 * u(4)) % 1, u(4))
    label = np.searchsorted(np.cumsum(spec.shares)[:-1], patchy, side="right")
    intensity = (label + 1) // 2
    complete = np.where(label % 2 == 0, 0.9 + 0.1 * u(6), 0.25 + 0.45 * u(6))
    level = _LEVELS[intensity] + _SPANS[intensity] * u(5)
    brown = tumour & (u(7) < spec.brown_nuclei)
    around = smooth_at(seed, 36, x, y, 110.0) * 0.5 + 0.5
    big = np.where(tumour, 3.6 + 1.6 * u(8), 2.2 + 1.0 * u(8))
    slim = np.where(tumour, 0.65 + 0.3 * u(9), np.where(u(16) < 0.35, 0.95, 0.3 + 0.25 * u(9)))
    none = np.where(tumour, u(10) < 0.12, u(10) < 0.35) | (kind <= LUMEN)
    turn = np.where(
        tumour, u(11) * np.pi, smooth_at(seed, 37, x, y, 120.0) * np.pi + (u(11) - 0.5) * 0.5
    )
    f = np.float32
    return Nodes(
        row0=int(rows[0]),
        col0=int(cols[0]),
        pitch=pitch,
        x=x,
        y=y,
        weight=((u(12) - 0.5) * f(0.35 * pitch * pitch)).astype(f),
        kind=kind,
        label=np.where(tumour, label, -1).astype(np.int8),
        level=np.where(tumour, level, 0).astype(f),
        complete=np.where(label == 0, 0, complete).astype(f),
        lobes=np.floor(1 + 2.999 * u(13)).astype(f),
        phase=u(14),
        half_width=(_HALF_WIDTH_UM[intensity] * (f(0.85) + f(0.3) * u(15))).astype(f),
        cytoplasm=(
            spec.cytoplasm * (0.05 + 0.34 * around * u(17) + 0.08 * u(18) + 0.4 * level * u(23))
        ).astype(f),
        axis_a=np.where(none, 0.01, big / np.sqrt(slim)).astype(f),
        axis_b=np.where(none, 0.01, big * np.sqrt(slim)).astype(f),
        cos=np.cos(turn).astype(f),
        sin=np.sin(turn).astype(f),
        shift_x=((u(19) - 0.5) * f(2.5)).astype(f),
        shift_y=((u(20) - 0.5) * f(2.5)).astype(f),
        nucleus_h=np.where(tumour, 0.22 + 0.25 * u(24), 0.4 + 0.3 * u(24)).astype(f),
        nucleus_d=np.where(brown, 0.2 + 0.5 * u(25), 0.03 * u(25)).astype(f),
    )


def block(spec: PhantomSpec, wx: Float, wy: Float) -> Nodes:
    """All nodes that can own a point of the warped arrays."""
    pitch = spec.cell_um
    rows = np.arange(
        int(np.floor(wy.min() / (pitch * _ROW))) - 2, int(np.floor(wy.max() / (pitch * _ROW))) + 3
    )
    cols = np.arange(int(np.floor(wx.min() / pitch)) - 3, int(np.floor(wx.max() / pitch)) + 4)
    return nodes(spec, rows, cols)


def nearest(block_: Nodes, wx: Float, wy: Float) -> tuple[npt.NDArray[np.int32], Float]:
    """Owner of each point (flat index into the block) and its distance in µm to the cell's border.

    A power diagram (squared distance less the node's weight) over the 3×3 nearest lattice nodes;
    the distance to the bisector of owner and runner-up is (F2 − F1) / (2 |c1 − c2|).
    """
    pitch = np.float32(block_.pitch)
    n_cols = block_.x.shape[1]
    xs, ys, ws = block_.x.ravel(), block_.y.ravel(), block_.weight.ravel()
    row = np.floor(wy / (pitch * np.float32(_ROW))).astype(np.int32)
    f1 = np.full(wx.shape, np.inf, np.float32)
    f2 = f1.copy()
    i1 = np.zeros(wx.shape, np.int32)
    i2 = np.zeros(wx.shape, np.int32)
    for dr in (-1, 0, 1):
        r = row + dr
        col = np.floor(wx / pitch - np.float32(0.5) * (r & 1)).astype(np.int32)
        base = (r - block_.row0) * n_cols + (col - block_.col0)
        for dc in (-1, 0, 1):
            i = base + dc
            f = (wx - xs[i]) ** 2 + (wy - ys[i]) ** 2 - ws[i]
            first = f < f1
            second = ~first & (f < f2)
            np.copyto(f2, f1, where=first)
            np.copyto(i2, i1, where=first)
            np.copyto(f1, f, where=first)
            np.copyto(i1, i, where=first)
            np.copyto(f2, f, where=second)
            np.copyto(i2, i, where=second)
    apart = np.hypot(xs[i1] - xs[i2], ys[i1] - ys[i2])
    return i1, (f2 - f1) / (2 * np.maximum(apart, np.float32(0.5)))


@dataclass(frozen=True)
class Cells:
    """Tumour cells: centres in level-0 px, float32 (N,), and class as index into CLASSES."""

    x0: Float
    y0: Float
    label: npt.NDArray[np.int8]

    @property
    def counts(self) -> dict[str, int]:
        n = np.bincount(self.label, minlength=len(CLASSES))
        return {name: int(k) for name, k in zip(CLASSES, n, strict=True)}


def cells_in(spec: PhantomSpec, x0: int, y0: int, width: int, height: int) -> Cells:
    """Tumour cells whose centre lies in the level-0 box."""
    reach = sum(w[3] for w in _WARPS) + spec.cell_um
    left, top = x0 * spec.mpp - reach, y0 * spec.mpp - reach
    right, bottom = (x0 + width) * spec.mpp + reach, (y0 + height) * spec.mpp + reach
    corner = np.array([left, right], np.float32), np.array([top, bottom], np.float32)
    all_nodes = block(spec, *corner)
    keep = all_nodes.label >= 0
    x, y = unwarp(spec, all_nodes.x[keep], all_nodes.y[keep])
    x, y = x / np.float32(spec.mpp), y / np.float32(spec.mpp)
    inside = (x >= x0) & (x < x0 + width) & (y >= y0) & (y < y0 + height)
    return Cells(x[inside], y[inside], all_nodes.label[keep][inside])
