"""Where the stained membrane stands round a cell: 32 rays from the nucleus' centroid.

A ray looks for the membrane mask between the nucleus' edge and the end of the cell's territory
(her2.md §3.4), and reads the DAB there and in the cytoplasm (§3.5).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.her2.optical_density import STEP

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]
Label = npt.NDArray[np.int32]
Code = npt.NDArray[np.uint8]

RAYS = 32
STEPS = 56
STEP_PX = 1
"""Steps of one analysis pixel, 0.25 µm: a ray is 14 µm long."""
REACH_PX = STEPS * STEP_PX

MASK, NUCLEUS, REVIEWED = 1, 2, 4
"""Bits of the code plane: membrane, nucleus, a person's pixel."""

_CHUNK = 512
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
    """What rays read of a tile, all (H, W) at 0.25 µm/px with REACH_PX to spare on every side.

    `territory` holds cell numbers from 1 (0: nobody's), `code` bits, `dab` coded optical density.
    """

    territory: Label
    code: Code
    dab: Code


@dataclass(frozen=True)
class Profiles:
    """What the rays of n cells saw, (n, RAYS); lengths in steps of 0.25 µm, densities coded.

    `hit`: the membrane is stained there. `at`: where, or the territory's end. `inside`: coded DAB
    in the cytoplasm (n,), 255 where there was no room to look. `neighbour`: the cell number behind
    the ray, 0 for none.
    """

    hit: Bool
    at: npt.NDArray[np.int16]
    nucleus: npt.NDArray[np.int16]
    width: npt.NDArray[np.int16]
    peak: Code
    inside: Code
    neighbour: Label
    reviewed: Bool


def trace(planes: Planes, rows: Index, cols: Index, numbers: Label, contrast: float) -> Profiles:
    """Follow the rays of cells centred at (rows, cols) and numbered in `planes.territory`.

    A hit counts only if its DAB stands `contrast` (log10 optical density) above the cytoplasm's.
    """
    parts = []
    for start in range(0, max(1, len(rows)), _CHUNK):
        some = np.s_[start : start + _CHUNK]
        parts.append(_trace(planes, rows[some], cols[some], numbers[some], contrast))
    return Profiles(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def directions() -> tuple[Float, Float]:
    """Unit steps (row, col) of the rays, float32 (RAYS,) each."""
    angle = np.arange(RAYS) * (2 * np.pi / RAYS)
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def _offsets(width: int) -> Index:
    """Flat offsets of all samples of a cell's rays in a plane of `width` columns: (RAYS·STEPS,)."""
    row, col = directions()
    along = np.arange(STEPS) * STEP_PX
    rows = np.rint(row[:, None] * along).astype(np.intp)
    cols = np.rint(col[:, None] * along).astype(np.intp)
    return np.asarray((rows * width + cols).reshape(-1), np.intp)


def _trace(
    planes: Planes, rows: Index, cols: Index, numbers: Label, contrast: float
) -> tuple[npt.NDArray[np.generic], ...]:
    n, width = len(rows), planes.code.shape[1]
    shape = n, RAYS, STEPS
    flat = (rows * width + cols)[:, None] + _offsets(width)[None]
    territory = np.take(planes.territory, flat).reshape(shape)
    code = np.take(planes.code, flat).reshape(shape)
    dab = np.take(planes.dab, flat).reshape(shape)

    step = np.arange(STEPS, dtype=np.int16)
    own = territory == numbers[:, None, None]
    end = _first(~own)
    nucleus = np.minimum(_first(((code & NUCLEUS) == 0) | ~own), end)
    mask = (code & MASK) > 0
    window = (step >= (nucleus - _EARLY)[..., None]) & (step < (end + _DELTA)[..., None])
    seen = mask & window
    hit = seen.any(axis=-1)
    first = np.where(hit, seen.argmax(axis=-1), end).astype(np.int16)
    run = _first(~mask & (step >= first[..., None])) - first
    hit &= run <= _WIDEST

    # not beyond the cell's own ground: there a neighbour's stronger membrane would be read
    last = np.minimum(first + _NEAR, np.maximum(end, first) + 1)
    near = np.minimum(first[..., None] + np.arange(-_NEAR, _NEAR + 1), last[..., None])
    peak = np.take_along_axis(dab, near.clip(0, STEPS - 1), axis=-1).max(axis=-1)
    inside = _cytoplasm(dab, nucleus, first)
    floor = np.where(inside == 255, 0, inside).astype(np.int16) + round(contrast / STEP)
    hit &= peak >= floor[:, None]
    at = np.where(hit, first, end).astype(np.int16)

    behind = np.zeros((n, RAYS), np.int32)
    for beyond in (6, 2):
        place = np.minimum(end + beyond, STEPS - 1)[..., None]
        other = np.take_along_axis(territory, place, axis=-1)[..., 0]
        behind = np.where((other > 0) & (other != numbers[:, None]), other, behind)
    place = first[..., None].clip(0, STEPS - 1)
    reviewed = (np.take_along_axis(code, place, axis=-1)[..., 0] & REVIEWED) > 0
    return hit, at, nucleus, run, peak, inside, behind, reviewed & hit


def _first(condition: Bool) -> npt.NDArray[np.int16]:
    """First true step of each ray, STEPS − 1 where none is: int16 (n, RAYS)."""
    condition[..., -1] = True
    return np.asarray(condition.argmax(axis=-1), np.int16)


def _cytoplasm(dab: Code, nucleus: npt.NDArray[np.int16], first: npt.NDArray[np.int16]) -> Code:
    """Median DAB between nucleus and membrane, 255 where no ray has room: uint8 (n,)."""
    room = first - nucleus - _NEAR
    samples = []
    for share in (0.25, 0.5, 0.75):
        place = (nucleus + share * room).astype(np.intp).clip(0, STEPS - 1)
        value = np.take_along_axis(dab, place[..., None], axis=-1)[..., 0]
        samples.append(np.where(room >= _ROOM - _NEAR, np.minimum(value, 254), 255))
    return median(np.concatenate(samples, axis=1).astype(np.uint8))


def median(values: Code) -> Code:
    """Lower median of each row of uint8 (n, k), leaving out 255; 255 where a row has only those."""
    ordered = np.sort(values, axis=1)
    count = (ordered < 255).sum(axis=1)
    middle = np.maximum(count - 1, 0) // 2
    return np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
