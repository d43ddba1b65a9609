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

    def coded_dab(self, image: Rgb) -> Rgb:
        """Amount of DAB of RGB (H, W, 3) in steps of STEP: uint8 (H, W), negative ones 0."""
        # cv2 takes the absolute value: what is negative must be cut first
        amount = np.maximum(self.dab(image), 0)
        return np.asarray(cv2.convertScaleAbs(amount, alpha=1 / STEP), np.uint8)

    def _amount(self, image: Rgb, stain: int) -> Float:
        out: Float | None = None
        for plane, table in zip(cv2.split(image), self._tables[stain], strict=True):
            part = np.asarray(cv2.LUT(plane, table), np.float32)
            out = part if out is None else np.asarray(cv2.add(out, part), np.float32)
        if out is None:
            raise ValueError(f"an RGB image (H, W, 3) is needed, got {image.shape}")
        return out
