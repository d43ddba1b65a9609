"""Where the stained membrane stands round a cell: 32 rays from the nucleus' centroid.

A ray looks for the membrane mask between the nucleus' edge and the end of the cell's territory
(her2.md §3.4), and reads the DAB there and in the cytoplasm (§3.5).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.her2.optical_density import STEP, Densities

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]
Label = npt.NDArray[np.int32]
Code = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint64]

RAYS = 32
STEPS = 56
STEP_PX = 1
"""Steps of one analysis pixel, 0.25 µm: a ray is 14 µm long."""
REACH_PX = STEPS * STEP_PX

MASK, REVIEWED = 1, 2
"""Bits of the code plane: membrane, a person's pixel."""

_CHUNK = 256
_ONE, _ALL, _LAST = np.uint64(1), ~np.uint64(0), np.uint64(1) << np.uint64(STEPS - 1)
_DELTA = 8
"""2 µm beyond the own ground: with 1 µm (her2.md §3.4) 64 % of the cells of a phantom 3+ control
were complete, with 2 and _EARLY 87 %, while 0+ phantoms kept their share of stained cells."""
_EARLY = 4
"""1 µm inside the nucleus' edge, which detectors draw with that error."""
_NEAR = 4
_WIDEST = 20
"""A mask run of over 5 µm along a ray is no membrane: strong ones are about 2 (her2.md §2)."""
_ROOM = 6


@dataclass(frozen=True)
class Planes:
    """What rays read of a tile, with REACH_PX to spare on every side.

    At 0.25 µm/px: `code` bits (H, W), `image` RGB (H, W, 3). At half of it (H/2, W/2): `ground` =
    2 × the owner's number (0: nobody's) + 1 in a nucleus.
    """

    ground: Label
    code: Code
    image: Code
    densities: Densities

    def dab(self, flat: Index) -> Code:
        """Coded DAB at flat places of (H, W)."""
        return self.densities.coded_dab(np.take(self.image.reshape(-1, 3), flat, axis=0))


def ground_of(territory: Label, labels: Label) -> Label:
    """Put owners and nuclei, both (H/2, W/2), into one plane: each reading costs as much."""
    return np.asarray(2 * territory + (labels > 0), np.int32)


@dataclass(frozen=True)
class Profiles:
    """What the rays of n cells saw, (n, RAYS); lengths in steps of 0.25 µm, densities coded.

    `hit`: the membrane is stained there. `at`: where, or the territory's end. `inside`: coded DAB
    in the cytoplasm (n,), 255 where there was no room to look. `neighbour`: the cell number behind
    the ray, 0 for none. `reviewed`: a person said of the place at `at` whether it is membrane.
    """

    hit: Bool
    at: npt.NDArray[np.int16]
    nucleus: npt.NDArray[np.int16]
    width: npt.NDArray[np.int16]
    peak: Code
    inside: Code
    neighbour: Label
    reviewed: Bool

    def first(self, count: int) -> "Profiles":
        """Return those of the first cells."""
        return Profiles(**{name: column[:count] for name, column in vars(self).items()})

    @classmethod
    def join(cls, parts: Sequence["Profiles"]) -> "Profiles":
        """Put those of several parts behind each other."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))


def trace(planes: Planes, rows: Index, cols: Index, numbers: Label, contrast: float) -> Profiles:
    """Follow the rays of cells centred at (rows, cols) and numbered in `planes.ground`.

    A hit counts only if its DAB stands `contrast` (log10 optical density) above the cytoplasm's.
    """
    parts = []
    for start in range(0, max(1, len(rows)), _CHUNK):
        some = np.s_[start : start + _CHUNK]
        parts.append(_trace(planes, rows[some], cols[some], numbers[some], contrast))
    return Profiles.join(parts)


def directions() -> tuple[Float, Float]:
    """Unit steps (row, col) of the rays, float32 (RAYS,) each."""
    angle = np.arange(RAYS) * (2 * np.pi / RAYS)
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def _offsets(width: int, step_px: float) -> Index:
    """Places of a ray's samples from its cell's, in a flat plane of `width` columns: (R, S)."""
    row, col = directions()
    along = np.arange(STEPS) * step_px
    down = np.rint(row[:, None] * along).astype(np.intp)
    return down * width + np.rint(col[:, None] * along).astype(np.intp)


def _trace(planes: Planes, rows: Index, cols: Index, numbers: Label, contrast: float) -> Profiles:
    width = planes.code.shape[1]
    centre = (rows * width + cols)[:, None, None]
    offsets = _offsets(width, STEP_PX)
    code = np.take(planes.code, centre + offsets)
    width //= 2
    coarse = (rows // 2 * width + cols // 2)[:, None, None] + _offsets(width, STEP_PX / 2)
    ground = np.take(planes.ground, coarse)
    first_of_ray = np.arange(RAYS)[:, None] * STEPS

    def place(steps: npt.NDArray[np.integer]) -> Index:
        """Number samples of the rays' steps (n, R, …) in a plane of one ray after the other."""
        return np.asarray(first_of_ray + steps.clip(0, STEPS - 1), np.intp)

    def dab(steps: npt.NDArray[np.integer]) -> Code:
        return planes.dab(centre + np.take(offsets, place(steps)))

    def at_step(plane: npt.NDArray[np.generic], steps: npt.NDArray[np.integer]) -> Any:
        """Read a sampled plane (n, R, S) at one step of each ray (n, R)."""
        start = np.arange(len(rows))[:, None, None] * (RAYS * STEPS)
        return np.take(plane, start + place(steps[..., None]))[..., 0]

    own = 2 * numbers[:, None, None]
    nucleus = _first(~_bits(ground == own + 1))
    end = _first(~_bits(ground >> 1 == numbers[:, None, None]))
    mask = _bits(code & MASK)
    candidates = mask & _from(nucleus - _EARLY) & ~_from(end + _DELTA)
    hit = candidates > 0
    first = np.where(hit, _first(candidates), end)
    run = _first(~mask & _from(first)) - first
    hit &= run <= _WIDEST

    # not beyond the cell's own ground: there a neighbour's stronger membrane would be read
    last = np.minimum(first + _NEAR, np.maximum(end, first) + 1)
    near = np.minimum(first[..., None] + np.arange(-_NEAR, _NEAR + 1), last[..., None])
    peak = dab(near).max(axis=-1)
    inside = _cytoplasm(dab, nucleus, first)
    floor = np.where(inside == 255, 0, inside).astype(np.int16) + round(contrast / STEP)
    hit &= peak >= floor[:, None]
    at = np.where(hit, first, end)
    # a mask that fills a cell without a membrane leaves no room, and is none either
    filled = (inside == 255) & ~hit.any(axis=1)
    if filled.any():
        inside[filled] = _cytoplasm(dab, nucleus, end)[filled]

    behind = np.zeros(hit.shape, np.int32)
    for beyond in (6, 2):
        other = at_step(ground, end + beyond) >> 1
        behind = np.where((other > 0) & (other != numbers[:, None]), other, behind)
    reviewed = (at_step(code, first) & REVIEWED) > 0
    return Profiles(hit, at, nucleus, run, peak, inside, behind, reviewed)


def _bits(condition: Bool | Code) -> Bits:
    """Pack a ray's steps (n, R, S), true where not 0, into the bits of one number: (n, R)."""
    packed = np.zeros((*condition.shape[:-1], 8), np.uint8)
    packed[..., : STEPS // 8] = np.packbits(condition, axis=-1, bitorder="little")
    return packed.view("<u8")[..., 0]


def _from(step: npt.NDArray[np.integer]) -> Bits:
    """Bits of this step and all behind it."""
    return _ALL << step.clip(0).astype(np.uint64)


def _first(bits: Bits) -> npt.NDArray[np.int16]:
    """First step of each ray whose bit is set, STEPS − 1 where none is: int16 (n, RAYS)."""
    bounded = bits | _LAST
    return np.bitwise_count((bounded & (~bounded + _ONE)) - _ONE).astype(np.int16)


def _cytoplasm(
    dab: Callable[[npt.NDArray[np.integer]], Code],
    nucleus: npt.NDArray[np.int16],
    first: npt.NDArray[np.int16],
) -> Code:
    """Median DAB between nucleus and membrane, 255 where no ray has room: uint8 (n,)."""
    room = (first - nucleus - _NEAR)[..., None]
    value = np.minimum(dab(nucleus[..., None] + room * np.array([1, 2, 3]) // 4), 254)
    known = np.where(room >= _ROOM - _NEAR, value, np.uint8(255))
    return median(known.reshape(len(first), 3 * RAYS))


def median(values: Code) -> Code:
    """Lower median of each row of uint8 (n, k), leaving out 255; 255 where a row has only those."""
    ordered = np.sort(values, axis=1)
    count = (ordered < 255).sum(axis=1)
    middle = np.maximum(count - 1, 0) // 2
    return np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
