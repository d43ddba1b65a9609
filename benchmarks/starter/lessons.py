"""The images of a training: whose, in which sizes, and how often each is drawn."""

from dataclasses import dataclass
from itertools import cycle, islice

import cv2
import numpy as np

from benchmarks.own_slide import Pixels
from benchmarks.starter.sources import (
    ALWAYS,
    CORES,
    FOLDS,
    IGNORE,
    MEMBRANE,
    NEGATIVE,
    Crop,
    crops,
    held_out,
    phantoms,
    tissue_of,
)
from models.prediction import PATCH_PX

PLACES = 240
"""Labelled images of a mixed training: its parts fill them in equal turns."""
BACKGROUND, SYNTHETIC = 0.25, 0.25
"""Shares of negative tissue, and of phantoms where they are mixed in."""
ZOOMS = (1.0, 0.88, 1.12, 0.8, 1.0, 1.25)
"""Sizes in which images are shown: 0.22 µm/px are 0.25 in the second, what the service reads."""


@dataclass(frozen=True)
class Lessons:
    """What a training learns from: images (N, 256, 256, 3), masks of 0, 127 and 255."""

    images: Pixels
    masks: Pixels
    unlabelled: Pixels


def teaching(folds: tuple[str, ...], *, shipped: bool) -> list[Crop]:
    """Return the crops outside some folds; for weights that are shipped of Apache-2.0 alone."""
    without = held_out(folds)
    return [
        crop
        for crop in crops()
        if crop.source not in without and (crop.may_be_shipped or not shipped)
    ]


def unlabelled(folds: tuple[str, ...]) -> Pixels:
    """Return tissue without labels of all cores outside some folds."""
    without = held_out(folds)
    return np.concatenate([tissue_of(source) for source in CORES if source not in without])


def plain(folds: tuple[str, ...], *, shipped: bool) -> Lessons:
    """Each crop once, as it is."""
    own = teaching(folds, shipped=shipped)
    images, masks = (np.stack([getattr(crop, name) for crop in own]) for name in ("image", "mask"))
    return Lessons(images, masks, unlabelled(folds))


def mixed(folds: tuple[str, ...], *, shipped: bool, synthetic: bool) -> Lessons:
    """Every source with membranes as often as any other, in several sizes.

    Negative tissue of cores scored 0 and the empty crops fill a share, phantoms another one.
    """
    generator = np.random.default_rng(0)
    own = teaching(folds, shipped=shipped)
    parts: list[tuple[int, list[tuple[Pixels, Pixels]]]] = []
    negatives = [(crop.image, crop.mask) for crop in own if crop.source not in FOLDS]
    for source in NEGATIVE:
        if source == ALWAYS or source not in held_out(folds):
            negatives += [
                (image, np.zeros(image.shape[:2], np.uint8)) for image in tissue_of(source)
            ]
    parts.append((round(PLACES * BACKGROUND), negatives))
    if synthetic:
        parts.append((round(PLACES * SYNTHETIC), list(zip(*phantoms(), strict=True))))
    left = PLACES - sum(count for count, _ in parts)
    sources = [name for name in FOLDS if any(crop.source == name for crop in own)]
    for name in sources:
        pairs = [(crop.image, crop.mask) for crop in own if crop.source == name]
        parts.append((left // len(sources), pairs))
    images, masks = [], []
    for count, pairs in parts:
        order = [pairs[number] for number in generator.permutation(len(pairs))]
        for number, (image, mask) in enumerate(islice(cycle(order), count)):
            # each turn through a part shows its images in the next size
            zoom = ZOOMS[(number // len(order)) % len(ZOOMS)]
            shown, marked = zoomed(image, mask, zoom, generator)
            images.append(shown)
            masks.append(marked)
    return Lessons(np.stack(images), np.stack(masks), unlabelled(folds))


def zoomed(
    image: Pixels, mask: Pixels, zoom: float, generator: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Return an image and its mask in another size: a part of them, or with a rim left open."""
    side = round(PATCH_PX * zoom)
    if side == PATCH_PX:
        return image, mask
    how = cv2.INTER_AREA if side < PATCH_PX else cv2.INTER_CUBIC
    shown = cv2.resize(image, (side, side), interpolation=how)
    line, open_ = (
        cv2.resize((mask == value).astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        >= 0.5
        for value in (MEMBRANE, IGNORE)
    )
    marked = np.where(open_, IGNORE, np.where(line, MEMBRANE, 0)).astype(np.uint8)
    if side > PATCH_PX:
        top, left = generator.integers(0, side - PATCH_PX + 1, 2)
        place = (slice(top, top + PATCH_PX), slice(left, left + PATCH_PX))
        return np.ascontiguousarray(shown[place]), np.ascontiguousarray(marked[place])
    rim = PATCH_PX - side
    sides = ((rim // 2, rim - rim // 2), (rim // 2, rim - rim // 2))
    return (
        np.pad(shown, (*sides, (0, 0)), mode="reflect"),
        np.pad(marked, sides, constant_values=IGNORE),
    )
