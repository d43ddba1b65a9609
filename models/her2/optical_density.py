"""Amounts of DAB and haematoxylin by table, at a tenth of the matrix product's cost.

log10 optical density over the measured white point (her2.md §3.1). Unmixing is linear in the three
channels' densities, so a stain's amount is a sum of three table entries of the pixel's values.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from models.stain import StainVectors

Float = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

STEP = 0.005
"""Log10 optical density of one grey level in a coded DAB plane: it ends at 1.275."""
NOT_GLASS = 0.05
"""Mean log10 optical density of the three channels from which a place is taken for tissue."""


@dataclass(frozen=True)
class Densities:
    """Stain amounts of one slide: its white point (R, G, B) and the protocol's stain vectors."""

    white: tuple[float, float, float]
    vectors: StainVectors

    @cached_property
    def _tables(self) -> npt.NDArray[np.float32]:
        """Amount by stain (h, d, residual), channel and value: float32 (3, 3, 256)."""
        values = np.maximum(np.arange(256, dtype=np.float64), 1)
        density = np.stack([np.maximum(-np.log10(values / level), 0) for level in self.white])
        unmixing = self.vectors.unmixing().astype(np.float64)  # (channel, stain)
        return np.asarray(unmixing.T[:, :, None] * density[None], np.float32)

    def haematoxylin(self, image: Rgb) -> Float:
        """Amount of haematoxylin of RGB (H, W, 3): float32 (H, W), may be slightly negative."""
        return self._amount(image, 0)

    def dab(self, image: Rgb) -> Float:
        """Amount of DAB of RGB (H, W, 3): float32 (H, W), may be slightly negative."""
        return self._amount(image, 1)

    def residual(self, image: Rgb) -> Float:
        """What neither stain explains of RGB (H, W, 3): float32 (H, W)."""
        return self._amount(image, 2)

    def coded_dab(self, pixels: Rgb) -> Rgb:
        """Amount of DAB of scattered RGB pixels (…, 3) in steps of STEP: uint8 (…), 0 if negative.

        For samples: of all pixels only one in ten is ever looked at.
        """
        tables = np.rint(self._tables[1] * np.float32(16 / STEP)).astype(np.int32)
        total = np.take(tables[0], pixels[..., 0])
        total += np.take(tables[1], pixels[..., 1])
        total += np.take(tables[2], pixels[..., 2])
        return ((total + 8) >> 4).clip(0, 255).astype(np.uint8)

    def _amount(self, image: Rgb, stain: int) -> Float:
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"an RGB image (H, W, 3) is needed, got {image.shape}")
        red, green, blue = cv2.split(image)
        tables = self._tables[stain]
        total = cv2.LUT(red, tables[0])
        for plane, table in ((green, tables[1]), (blue, tables[2])):
            total = cv2.add(total, cv2.LUT(plane, table), dst=total)
        return np.asarray(total, np.float32)


def density_of(image: Rgb, white: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Mean log10 optical density of the three channels of RGB (H, W, 3): (H, W), from 0."""
    light = np.maximum(np.arange(256), 1)[:, None] / np.asarray(white)
    table = np.maximum(-np.log10(light), 0) / 3
    red, green, blue = (table[image[..., channel], channel] for channel in range(3))
    return np.asarray(red + green + blue, np.float64)
