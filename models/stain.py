"""Stain separation: optical density over a measured white point, then haematoxylin and DAB.

log10 optical density everywhere (her2.md finding 8). DAB does not strictly obey Beer-Lambert, so
amounts are an ordinal scale, not a concentration.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

WHITE = (240.0, 240.0, 240.0)
"""Scanner white when none could be measured: 255 would add 0.03 to every density."""


@dataclass(frozen=True)
class StainVectors:
    """Optical-density directions (R, G, B) of the two stains; the defaults are QuPath's H-DAB."""

    haematoxylin: tuple[float, float, float] = (0.65, 0.70, 0.29)
    dab: tuple[float, float, float] = (0.27, 0.57, 0.78)

    def unmixing(self) -> Float:
        """Return the matrix (3, 3) that takes densities (…, 3) to (h, d, residual)."""
        h = np.array(self.haematoxylin) / np.linalg.norm(self.haematoxylin)
        d = np.array(self.dab) / np.linalg.norm(self.dab)
        rest = np.cross(h, d)
        rest /= np.linalg.norm(rest)
        return np.linalg.inv(np.stack([h, d, rest])).astype(np.float32)


def white_point(overview: Rgb) -> tuple[float, float, float]:
    """Measure the glass of a low-power RGB image (H, W, 3); `WHITE` where too little is seen.

    The 75th percentile of bright, colourless pixels, per channel (her2.md §3.1).
    """
    low, high = extremes(overview)
    glass = overview[(low > 200) & (high - low < 20)]
    if len(glass) < max(64, overview.shape[0] * overview.shape[1] // 500):
        return WHITE
    r, g, b = np.percentile(glass, 75, axis=0)
    return float(r), float(g), float(b)


def extremes(image: Rgb) -> tuple[Rgb, Rgb]:
    """Least and greatest channel of RGB (…, 3), plane by plane: along an axis of three numpy is
    many times slower.
    """
    red, green, blue = (image[..., channel] for channel in range(3))
    low = np.minimum(np.minimum(red, green), blue)
    return low, np.maximum(np.maximum(red, green), blue)


def optical_density(image: Rgb, white: tuple[float, float, float] = WHITE) -> Float:
    """log10 optical density ≥ 0 of RGB (…, 3), float32 of the same shape."""
    values = np.maximum(np.arange(256, dtype=np.float64), 1)
    out = np.empty(image.shape, np.float32)
    for channel, level in enumerate(white):
        table = np.maximum(-np.log10(values / level), 0).astype(np.float32)
        out[..., channel] = table[image[..., channel]]
    return out


def separate(
    image: Rgb,
    white: tuple[float, float, float] = WHITE,
    vectors: StainVectors | None = None,
) -> tuple[Float, Float, Float]:
    """Split RGB (…, 3) into haematoxylin, DAB and residual amounts, each float32 (…)."""
    amounts = optical_density(image, white) @ (vectors or StainVectors()).unmixing()
    return amounts[..., 0], amounts[..., 1], amounts[..., 2]


def estimate_vectors(image: Rgb, white: tuple[float, float, float] = WHITE) -> StainVectors | None:
    """Estimate both stains from pixels (…, 3) of one slide by Macenko's plane; None if unsafe.

    On a slide without brown the method invents a second stain, so it needs DAB > 0.15 in at least
    5 % of the stained pixels (her2.md §3.1). Meant for a 3+ control, not for every slide.
    """
    density = optical_density(image.reshape(-1, 3), white)
    density = density[density.max(axis=1) > 0.15]
    if len(density) < 1000:
        return None
    if np.mean((density @ StainVectors().unmixing())[:, 1] > 0.15) < 0.05:
        return None
    _, _, axes = np.linalg.svd(density[:: max(1, len(density) // 20000)], full_matrices=False)
    plane = axes[:2] * np.sign(axes[:2].sum(axis=1, keepdims=True))
    along = density @ plane.T
    angle = np.arctan2(along[:, 1], along[:, 0])
    ends = [np.array([np.cos(a), np.sin(a)]) @ plane for a in np.percentile(angle, [1.0, 99.0])]
    haematoxylin, brown = sorted(ends, key=lambda v: float(v[2] - v[0]))
    if min(haematoxylin.min(), brown.min()) < -0.05 or float(haematoxylin @ brown) > 0.98:
        return None
    r, g, b = (float(v) for v in haematoxylin)
    dr, dg, db = (float(v) for v in brown)
    return StainVectors((r, g, b), (dr, dg, db))
