"""One sample of a training: a picture turned, scaled and stained anew, and what it should give.

A sample is a function of the pictures, the seed and its number: a training that is taken up again
sees what it would have seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.her2.nuclei import NUCLEI_MPP
from models.her2.pixels import ANALYSIS_MPP
from models.nuclei.training.pictures import GRAY, Kind, Picture
from models.nuclei.training.staining import Amounts, lit, painted, restained, unmixed

Float = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]
Draw = np.random.Generator

SIDE_PX = 128
"""At NUCLEI_MPP: 64 µm."""
SIGMA_UM = 0.85
"""Of the hill at a nucleus' middle; marks are good to 0.6 µm."""
SURE_UM, FREE_UM = 1.6, 6.0
"""Round a mark: so near is inside the nucleus, so far from all marks is inside none."""
SHARES: Mapping[Kind, float] = {"marked": 0.52, "drawn": 0.26, "phantom": 0.22}
GRAY_SHARE = 0.12
OWN_COLOURS = 0.12
"""Share of the pictures of other stains that are shown in their own colours."""
HIDDEN = 0.25
"""Share of nuclei that are left out of half of the other pictures, and their membranes not."""


@dataclass(frozen=True)
class Sample:
    """Image uint8 (S, S, 3); targets and weights float32 (2, S, S) for CENTRE and INSIDE."""

    image: Rgb
    targets: Float
    weights: Float


class Samples:
    """All samples of a training."""

    def __init__(self, pictures: Sequence[Picture], seed: int) -> None:
        self.seed = seed
        self._of: dict[str, list[Picture]] = {}
        for picture in pictures:
            name = picture.group if picture.group == GRAY else picture.kind
            self._of.setdefault(name, []).append(picture)
        self._kinds = [kind for kind in SHARES if kind in self._of]
        if not self._kinds:
            raise ValueError("there is no picture to learn from")
        shares = np.array([SHARES[kind] for kind in self._kinds])
        self._shares = shares / shares.sum()
        self._amounts = {id(picture): unmixed(picture.image) for picture in pictures}

    def __call__(self, number: int) -> Sample:
        draw = np.random.default_rng([self.seed, number])
        kind = self._kinds[int(draw.choice(len(self._kinds), p=self._shares))]
        if kind == "drawn" and draw.random() < GRAY_SHARE and GRAY in self._of:
            return self._drawn(draw, _one(draw, self._of[GRAY]))
        if kind == "marked":
            # a source as often as another, whatever it has of crops
            groups = sorted({picture.group for picture in self._of[kind]})
            weights = np.sqrt([sum(p.group == g for p in self._of[kind]) for g in groups])
            group = groups[int(draw.choice(len(groups), p=weights / weights.sum()))]
            return self._marked(draw, _one(draw, [p for p in self._of[kind] if p.group == group]))
        return self._drawn(draw, _one(draw, self._of[kind]))

    def _marked(self, draw: Draw, picture: Picture) -> Sample:
        assert picture.marks is not None
        assert picture.membrane is not None
        matrix, size = _placed(draw, picture, float(np.exp(draw.uniform(-0.25, 0.3))))
        amounts = _warped(self._amounts[id(picture)], matrix, size)
        image = _half(lit(draw, restained(draw, amounts)))
        there = cv2.warpAffine(np.ones(picture.image.shape[:2], np.uint8), matrix, size)
        known = _half(there * np.uint8(255)) > 250
        wall = _half(cv2.warpAffine(picture.membrane, matrix, size)) > 128
        marks = picture.marks @ matrix[:, :2].T + matrix[:, 2]
        marks = marks * (ANALYSIS_MPP / NUCLEI_MPP)
        hills, distance = _hills(marks, image.shape[:2])
        far = distance * NUCLEI_MPP
        inside = ((far <= SURE_UM) & ~wall).astype(np.float32)
        sure = ((far <= SURE_UM) | (far >= FREE_UM) | wall).astype(np.float32)
        weights = np.stack([known.astype(np.float32), known * sure])
        return Sample(image, np.stack([hills, inside]), weights)

    def _drawn(self, draw: Draw, picture: Picture) -> Sample:
        assert picture.labels is not None
        foreign = picture.chromatin is not None
        spread = (-0.3, 0.3) if foreign else (-0.15, 0.15)
        matrix, size = _placed(draw, picture, float(np.exp(draw.uniform(*spread))))
        labels = cv2.warpAffine(
            picture.labels.astype(np.float32), matrix, size, flags=cv2.INTER_NEAREST
        ).astype(np.int32)
        shown = np.ones(int(labels.max()) + 1, np.bool_)
        if picture.chromatin is not None and draw.random() > OWN_COLOURS:
            chromatin = np.asarray(cv2.warpAffine(picture.chromatin, matrix, size), np.float32)
            shown[1:] = draw.random(len(shown) - 1) >= draw.choice([0.0, HIDDEN])
            amounts = painted(draw, chromatin, labels, shown, ANALYSIS_MPP)
            labels = np.where(shown[labels], labels, 0).astype(np.int32)
        else:
            amounts = restained(draw, _warped(self._amounts[id(picture)], matrix, size))
        image = _half(lit(draw, amounts))
        there = cv2.warpAffine(np.ones(picture.image.shape[:2], np.uint8), matrix, size)
        known = (_half(there * np.uint8(255)) > 250).astype(np.float32)
        flat = np.flatnonzero(labels)
        number = labels.ravel()[flat]
        row, col = np.divmod(flat, labels.shape[1])
        many = np.bincount(number, minlength=1)
        real = many * ANALYSIS_MPP**2 > 3
        middle = [
            np.bincount(number, place, len(many))[real] / many[real] + 0.5 for place in (col, row)
        ]
        marks = np.stack(middle, axis=1) * (ANALYSIS_MPP / NUCLEI_MPP)
        hills, _ = _hills(marks, image.shape[:2])
        inside = (_half(((labels > 0) * 255).astype(np.uint8)) > 127).astype(np.float32)
        return Sample(image, np.stack([hills, inside]), np.stack([known, known]))


def _one(draw: Draw, pictures: Sequence[Picture]) -> Picture:
    return pictures[int(draw.integers(len(pictures)))]


def _placed(
    draw: Draw, picture: Picture, scale: float
) -> tuple[npt.NDArray[np.float64], tuple[int, int]]:
    """Draw where the sample lies on the picture: an affine map to ANALYSIS_MPP and its size."""
    side = SIDE_PX * 2
    size = scale * picture.mpp / ANALYSIS_MPP
    height, width = picture.image.shape[:2]
    slack = [max(0.0, n - 0.8 * side / size) / 2 for n in (width, height)]
    middle = [n / 2 + draw.uniform(-s, s) for n, s in zip((width, height), slack, strict=True)]
    turn = draw.uniform(0, 2 * np.pi) if draw.random() < 0.6 else draw.integers(4) * np.pi / 2
    cos, sin = np.cos(turn) * size, np.sin(turn) * size
    flip = -1.0 if draw.random() < 0.5 else 1.0
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    shift = side / 2 - linear @ np.array(middle)
    return np.concatenate([linear, shift[:, None]], axis=1), (side, side)


def _warped(amounts: Amounts, matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> Amounts:
    def warp(values: Float) -> Float:
        mode = cv2.BORDER_REFLECT_101
        return np.asarray(cv2.warpAffine(values, matrix, size, borderMode=mode), np.float32)

    return Amounts(warp(amounts.blue), warp(amounts.brown), warp(amounts.rest))


def _half(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    size = image.shape[1] // 2, image.shape[0] // 2
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _hills(marks: npt.NDArray[np.float64], shape: tuple[int, int]) -> tuple[Float, Float]:
    """Return the hills of the middles, 1 at each, and the distance to the nearest, px of 0.5 µm."""
    ys, xs = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in shape)
    nearest = np.full(shape, 1e6, np.float32)
    for x, y in marks:
        apart = (xs - np.float32(x)) ** 2 + ((ys - np.float32(y)) ** 2)[:, None]
        np.minimum(nearest, apart, out=nearest)
    sigma = SIGMA_UM / NUCLEI_MPP
    return np.exp(-nearest / np.float32(2 * sigma * sigma)), np.sqrt(nearest)
