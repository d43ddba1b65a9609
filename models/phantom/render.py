"""Draw a box of a phantom: geometry on a 2× coarser grid, then stain amounts, then light.

Light follows Beer-Lambert over haematoxylin and DAB: T = white · 10^-(h·H + d·D + rest).
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from models.phantom import cells as lattice
from models.phantom.cells import GLASS, LUMEN, STROMA, TUMOUR, Cells, Nodes
from models.phantom.noise import Float, Grain, Places, smooth
from models.phantom.spec import PhantomSpec

_HALO_PX = 24
_SEEN_OD = 0.08
"""A membrane thinner than this in own optical density is not drawn by a person: no truth there."""


@dataclass(frozen=True)
class Phantom:
    """A drawn box: image uint8 (H, W, 3), mask uint8 (H, W) 0/255 and the cells centred in it."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    cells: Cells
    x0: int
    y0: int


@dataclass(frozen=True)
class _Look:
    """The slide's stain and light: unit optical-density vectors (3,), white point (3,)."""

    haematoxylin: Float
    dab: Float
    white: Float
    h_gain: float
    d_gain: float


@lru_cache(maxsize=16)
def _look(seed: int, variation: float) -> _Look:
    g = np.random.default_rng([seed, 5])

    def vector(base: tuple[float, float, float], spread: float) -> Float:
        v = np.array(base) + g.normal(0, spread * variation, 3)
        return (v / np.linalg.norm(v)).astype(np.float32)

    return _Look(
        haematoxylin=vector((0.72, 0.62, 0.30), 0.035),
        dab=vector((0.30, 0.56, 0.77), 0.03),
        white=(np.array([238.0, 238.0, 242.0]) + g.normal(0, 4 * variation, 3))
        .clip(225, 252)
        .astype(np.float32),
        h_gain=float(np.exp(g.normal(0, 0.25 * variation))),
        d_gain=float(np.exp(g.normal(0, 0.18 * variation))),
    )


@lru_cache(maxsize=4)
def _grain(seed: int) -> Grain:
    return Grain(seed)


@dataclass(frozen=True)
class _Geometry:
    """Full-resolution fields of a haloed box, float32 (H, W); amounts are optical densities."""

    membrane: Float
    wall: Float
    nucleus: Float
    nucleus_h: Float
    nucleus_d: Float
    cytoplasm: Float
    tumour: Float
    stroma: Float
    open_edge: Float


def _arc(block: Nodes, owner: npt.NDArray[np.int32], dx: Float, dy: Float) -> Float:
    """1 where a cell's membrane is stained: a triangular wave round the cell, below its share."""
    turn = np.arctan2(dy, dx) * np.float32(0.5 / np.pi) + block.phase.ravel()[owner]
    wave = (turn * block.lobes.ravel()[owner]) % 1
    wave = np.abs(2 * wave - 1)
    stained: Float = np.clip((block.complete.ravel()[owner] - wave) * 8 + 0.5, 0, 1)
    return stained


def _geometry(spec: PhantomSpec, x0: int, y0: int, width: int, height: int) -> _Geometry | None:
    """Fields of the box (x0, y0 even); None where all is glass."""
    step = 2 if spec.mpp < 0.35 else 1
    x = (np.arange(0, width, step) + (step / 2 + x0)) * spec.mpp
    y = (np.arange(0, height, step) + (step / 2 + y0)) * spec.mpp
    wx, wy = lattice.warp(spec, x, y)
    block = lattice.block(spec, wx, wy)
    if not (block.kind != GLASS).any():
        return None
    owner, distance = lattice.nearest(block, wx, wy)
    dx, dy = wx - block.x.ravel()[owner], wy - block.y.ravel()[owner]
    kind = block.kind.ravel()[owner]
    nx, ny = dx - block.shift_x.ravel()[owner], dy - block.shift_y.ravel()[owner]
    cos, sin = block.cos.ravel()[owner], block.sin.ravel()[owner]
    along = (nx * cos + ny * sin) / block.axis_a.ravel()[owner]
    across = (ny * cos - nx * sin) / block.axis_b.ravel()[owner]
    radius = np.sqrt(along * along + across * across)
    edge = np.minimum(block.axis_a, block.axis_b).ravel()[owner]
    nucleus = (1 - radius) * edge  # about the depth below the nuclear envelope, µm
    level = block.level.ravel()[owner] * _arc(block, owner, dx, dy)
    stroma = cv2.blur((kind == STROMA).astype(np.float32), (5, 5))
    tissue = (kind > LUMEN).astype(np.float32)
    open_edge = tissue - cv2.blur(tissue, (15, 15))

    def full(field: Float) -> Float:
        if step == 1:
            return field
        out = cv2.resize(field, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        return np.asarray(out[:height, :width], np.float32)

    return _Geometry(
        membrane=full(level),
        wall=full(block.half_width.ravel()[owner] - distance),
        nucleus=full(np.maximum(nucleus, -3)),
        nucleus_h=full(block.nucleus_h.ravel()[owner]),
        nucleus_d=full(block.nucleus_d.ravel()[owner]),
        cytoplasm=full(block.cytoplasm.ravel()[owner] * (kind == TUMOUR)),
        tumour=full((kind == TUMOUR).astype(np.float32)),
        stroma=full(stroma),
        open_edge=full(np.maximum(open_edge, 0)),
    )


def _stains(
    spec: PhantomSpec,
    g: _Geometry,
    x: Places,
    y: Places,
    fine: Float,
    granular: Float,
) -> tuple[Float, Float, npt.NDArray[np.uint8]]:
    """Amounts of haematoxylin and DAB and the membrane truth of a box."""
    seed = spec.seed
    clumps = smooth(seed, 41, x, y, 2.6)
    grit = smooth(seed, 42, x, y, 0.9)
    wander = smooth(seed, 43, x, y, 30.0)
    wall_um = g.wall + 0.10 * grit + 0.16 * clumps
    wall = np.clip(wall_um * 3.0 + 0.5, 0, 1)
    strength = np.clip(1 - spec.broken * 0.5 + spec.broken * 1.0 * clumps + 0.12 * wander, 0, 1.4)
    own = g.membrane * strength
    mask = ((wall_um > 0) & (own >= _SEEN_OD)).astype(np.uint8) * 255
    inside = np.clip(g.nucleus * 2.2 + 0.5, 0, 1)
    rim = np.exp(-((g.nucleus - 0.35) ** 2) * 5)
    chromatin = 0.8 + 0.3 * clumps + 0.35 * grit + 0.35 * rim
    fibre_phase = smooth(seed, 44, x, y, 65.0) * 9 + smooth(seed, 45, x, y, 17.0) * 2.4
    fibre_phase += 0.35 * smooth(seed, 48, x, y, 6.0)
    loose = np.clip(0.5 + 0.9 * smooth(seed, 47, x, y, 9.0), 0, 1)
    fibres = np.abs(np.sin(np.pi * fibre_phase)) ** 4 * loose
    brown_patch = np.clip(smooth(seed, 46, x, y, 140.0) * 1.3 + 0.25, 0, 1)
    h = g.tumour * (0.045 + 0.02 * grit + 0.015 * wander)
    h += g.stroma * (0.035 + 0.03 * loose + 0.07 * fibres + 0.02 * grit)
    h = h * (1 - inside) + inside * g.nucleus_h * chromatin
    # brown that is no membrane: granules and short streaks of the cytoplasm, a halo along strong
    # membranes, fibres, nuclei, the tissue's edge
    worms = np.exp(-((smooth(seed, 49, x, y, 4.6) * 6.5) ** 2)) * np.clip(0.5 + clumps, 0, 1)
    texture = np.clip(0.7 + 0.5 * clumps + 0.35 * grit + 0.12 * granular + 2.4 * worms, 0.1, 4)
    d = g.cytoplasm * texture * (1 - 0.75 * inside)
    halo = np.exp(np.minimum(g.wall, 0) * 0.9) * (0.75 + 0.6 * clumps + 0.5 * worms)
    d += spec.cytoplasm * 0.8 * g.membrane * halo * (1 - 0.6 * inside)
    d += g.stroma * spec.stroma * brown_patch * (0.06 + 0.8 * fibres) * (1 - inside)
    d += inside * g.nucleus_d * (0.75 + 0.25 * clumps + 0.6 * rim)
    d += g.open_edge * spec.edge_artefact * np.clip(0.25 + 0.6 * wander, 0, 1)
    d = np.maximum(d, 0) + own * wall
    tissue = np.clip(g.tumour + g.stroma, 0, 1)
    h += tissue * 0.008 * fine
    return np.maximum(h, 0), d, mask


def _artefacts(spec: PhantomSpec, od: Float, x: Places, y: Places) -> None:
    """Add dust and the pen's stroke to optical density (H, W, 3), in place."""
    if spec.dust > 0:
        speck = smooth(spec.seed, 61, x, y, 9.0) * 0.5 + smooth(spec.seed, 62, x, y, 3.0) * 0.5
        near = smooth(spec.seed, 63, x, y, 180.0)
        dust = np.clip((speck - (0.78 - 0.1 * spec.dust)) * 12, 0, 1) * (near > 0.35)
        od += (dust * 0.9)[..., None]
    if spec.pen:
        w, h = spec.width * spec.mpp, spec.height * spec.mpp
        bend = smooth(spec.seed, 64, x, y, w / 4) * np.float32(h * 0.04)
        offset = y[:, None] - h * 0.90 - 0.12 * (x[None, :] - w / 2) + bend
        ink = np.clip((h * 0.02 - np.abs(offset)) / 6, 0, 1).astype(np.float32)
        od += ink[..., None] * np.array([0.9, 0.55, 0.12], np.float32)


def _light(spec: PhantomSpec, h: Float, d: Float, x: Places, y: Places) -> Float:
    look = _look(spec.seed, spec.stain_variation)
    od = (h * look.h_gain)[..., None] * look.haematoxylin
    od += (d * look.d_gain)[..., None] * look.dab
    _artefacts(spec, od, x, y)
    light: Float = np.exp(od * np.float32(-np.log(10))) * look.white
    sigma = spec.blur_um / spec.mpp
    if sigma > 0.1:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32)
    if spec.out_of_focus > 0:
        away = smooth(spec.seed, 65, x, y, 420.0)
        away = np.clip((away - (1 - 0.75 * spec.out_of_focus)) * 6, 0, 1)
        if away.any():
            soft = cv2.GaussianBlur(light, (0, 0), min(1.4 / spec.mpp, 7))
            light += (np.asarray(soft, np.float32) - light) * away[..., None]
    return light


def pixels(
    spec: PhantomSpec, x0: int, y0: int, width: int, height: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image uint8 (H, W, 3) and mask uint8 (H, W) of a level-0 box."""
    left, top = x0 - _HALO_PX - x0 % 2, y0 - _HALO_PX - y0 % 2
    w = width + 2 * _HALO_PX + (x0 + width) % 2 + x0 % 2
    h = height + 2 * _HALO_PX + (y0 + height) % 2 + y0 % 2
    x = (np.arange(left, left + w) + 0.5) * spec.mpp
    y = (np.arange(top, top + h) + 0.5) * spec.mpp
    grain = _grain(spec.seed)
    geometry = _geometry(spec, left, top, w, h)
    if geometry is None:
        zero = np.zeros((h, w), np.float32)
        amounts = zero, zero, zero.astype(np.uint8)
    else:
        fine = grain.at(left, top, w, h, salt=1)
        amounts = _stains(spec, geometry, x, y, fine, grain.at(left, top, w, h, salt=2))
    light = _light(spec, amounts[0], amounts[1], x, y)
    box = np.s_[y0 - top : y0 - top + height, x0 - left : x0 - left + width]
    out = light[box]
    shared = grain.at(x0, y0, width, height)
    for channel in range(3):
        own = grain.at(x0, y0, width, height, salt=3 + channel)
        out[..., channel] += np.float32(spec.noise) * (0.75 * shared + 0.66 * own)
    image = np.clip(out + 0.5, 0, 255).astype(np.uint8)
    return image, np.ascontiguousarray(amounts[2][box])


def region(
    spec: PhantomSpec, x0: int, y0: int, width: int, height: int, *, jpeg: bool = False
) -> Phantom:
    """Draw a level-0 box of the slide; without JPEG any two boxes agree where they overlap."""
    image, mask = pixels(spec, x0, y0, width, height)
    if jpeg:
        flags = [cv2.IMWRITE_JPEG_QUALITY, spec.jpeg_quality]
        _, code = cv2.imencode(".jpg", image[..., ::-1], flags)
        decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
        image = np.ascontiguousarray(decoded[..., ::-1])
    return Phantom(image, mask, lattice.cells_in(spec, x0, y0, width, height), x0, y0)


def nucleus_mask(
    spec: PhantomSpec, x0: int, y0: int, width: int, height: int
) -> npt.NDArray[np.bool_]:
    """Tell where nuclei were drawn in a level-0 box (x0, y0 even): bool (height, width)."""
    geometry = _geometry(spec, x0, y0, width, height)
    if geometry is None:
        return np.zeros((height, width), np.bool_)
    return np.asarray(geometry.nucleus > 0, np.bool_)


def field(spec: PhantomSpec, size: int | tuple[int, int] = 512) -> Phantom:
    """Draw a tumour-rich field of view, JPEG and all: size is (width, height) or one side, in px.

    The field has no glass margin; of a few places of the spec's endless tissue it takes the first
    where tumour fills over half. Cell centres are in the field's own pixels.
    """
    width, height = size if isinstance(size, tuple) else (size, size)
    inner = replace(spec, outline=False, pen=False)
    pitch = spec.cell_um / spec.mpp
    full = width * height / (pitch * pitch * 0.866)
    best, most = (0, 0), -1.0
    for k in range(24):
        x0, y0 = 2 * width * (k % 6) // 2 * 2, 2 * height * (k // 6) // 2 * 2
        share = len(lattice.cells_in(inner, x0, y0, width, height).label) / full
        if share > most:
            best, most = (x0, y0), share
        if share > 0.75:
            break
    drawn = region(inner, *best, width, height, jpeg=True)
    x0, y0 = best
    moved = Cells(drawn.cells.x0 - x0, drawn.cells.y0 - y0, drawn.cells.label)
    return Phantom(drawn.image, drawn.mask, moved, 0, 0)
