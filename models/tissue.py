"""Where a slide has tissue, and whether it looks like HER2 immunohistochemistry at all.

Works on a low-power overview (about 2–32 µm per pixel). Flags are warnings to a person, so every
limit is set to spare real HER2 slides rather than to catch every bad one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.stain import StainVectors, extremes, optical_density, white_point

Rgb = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

FLAGS = ("no_tissue", "blur", "fluorescence", "wrong_stain", "colour_cast")
"""Every flag `quality` can raise, in its order."""

_BLACK = 28
_MIN_PIECE_UM2 = 2500.0
_MIN_TISSUE_SHARE = 0.0005
_GREY = 6
"""A pixel whose channels are this near to each other, of 255, has no colour but that of a JPEG."""


@dataclass(frozen=True)
class Quality:
    """Flags (a subset of FLAGS) and the measures behind them."""

    flags: tuple[str, ...]
    measures: dict[str, float]


def black_padding(overview: Rgb) -> Bool:
    """Pure black areas that touch the border or are large: scanner padding, not tissue."""
    black = (extremes(overview)[1] < _BLACK).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(black, connectivity=8)
    height, width = black.shape
    out = np.zeros(black.shape, np.bool_)
    for k in range(1, count):
        left, top, w, h, area = (int(v) for v in stats[k])
        touches = left == 0 or top == 0 or left + w == width or top + h == height
        if touches and area > 0.002 * black.size:
            out |= labels == k
    return out


def _pen(overview: Rgb) -> Bool:
    """Marker ink: strongly coloured blue, green or red, or dark grey, in smooth wide strokes."""
    hsv = cv2.cvtColor(overview, cv2.COLOR_RGB2HSV)
    hue, saturation, value = hsv[..., 0].astype(int), hsv[..., 1], hsv[..., 2]
    vivid = (saturation > 140) & (value > 50)
    blue_green = vivid & (hue >= 38) & (hue <= 122)
    red = vivid & (saturation > 190) & ((hue <= 4) | (hue >= 174))
    black = (value < 60) & (saturation < 90)
    ink = (blue_green | red | black).astype(np.uint8)
    # single dark nuclei are thinner than a stroke of several pixels
    core = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.dilate(core, np.ones((5, 5), np.uint8)) > 0)


def _is_dark_field(overview: Rgb) -> bool:
    """Most of the picture is dark and hardly anything is bright: fluorescence."""
    low, high = extremes(overview)
    return bool(np.mean(high < 60) > 0.4 and np.mean(low > 180) < 0.02)


def _otsu(values: npt.NDArray[np.float32], low: float, high: float) -> float:
    """Otsu's threshold of non-negative values scaled by 1/`high`, kept within [low, high]."""
    scaled = np.clip(values / high * 127, 0, 255).astype(np.uint8)
    level, _ = cv2.threshold(scaled.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(np.clip(level / 127 * high, low, high))


def tissue_mask(overview: Rgb, mpp: float) -> Bool:
    """Find tissue on an overview, RGB uint8 (H, W, 3) at `mpp` µm per pixel: bool (H, W).

    Tissue is denser, more coloured or more textured than the glass; ink, black padding, specks
    and hairlines (coverslip edges) are left out, small holes are closed. A dark-field slide has
    no tissue that this service can use, so its mask is empty.
    """
    if overview.ndim != 3 or overview.shape[-1] != 3 or overview.dtype != np.uint8:
        raise ValueError(f"overview must be uint8 (H, W, 3), got {overview.shape}")
    if not mpp > 0:
        raise ValueError(f"mpp must be positive, got {mpp}")
    empty = np.zeros(overview.shape[:2], np.bool_)
    if _is_dark_field(overview):
        return empty
    padding = black_padding(overview)
    outside = padding | _pen(overview)
    if outside.all():
        return empty
    density = optical_density(overview, white_point(overview)).mean(axis=-1)
    density[outside] = 0
    # average over about 12 µm: pale stroma is seen by its mean, noise of glass is not
    window = max(1, round(12 / mpp)) | 1
    mean = cv2.blur(density, (window, window)) if window > 1 else density
    side = window + 2
    spread = cv2.blur(density * density, (side, side)) - cv2.blur(density, (side, side)) ** 2
    evidence = mean + np.sqrt(np.maximum(spread, 0))  # pale tissue shows by its texture
    glass = float(np.percentile(evidence[~outside], 5))
    raised = np.maximum(evidence - glass, 0).astype(np.float32)
    tissue = (raised > _otsu(raised[~outside], 0.02, 0.045)) & ~outside
    return _tidy(tissue, mpp) & ~outside


def _tidy(tissue: Bool, mpp: float) -> Bool:
    """Drop hairlines and specks, close holes; lengths in µm turned into pixels."""
    mask = tissue.astype(np.uint8)
    thin = max(3, round(20 / mpp) | 1)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(min(thin, 9)))
    # rebuild what touches a solid part, so that fine outlines survive but hairlines do not
    mask &= np.asarray(cv2.dilate(opened, _disc(min(2 * thin + 1, 19))), np.uint8)
    closing = _disc(min(max(3, round(16 / mpp) | 1), 31))
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, closing), np.uint8)
    smallest = max(4.0, _MIN_PIECE_UM2 / mpp**2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = np.zeros(count, np.bool_)
    for k in range(1, count):
        w, h, area = int(stats[k][2]), int(stats[k][3]), int(stats[k][4])
        line = area < 0.02 * max(w, h) ** 2 and max(w, h) > 0.3 * max(mask.shape)
        keep[k] = area >= smallest and not line
    return np.asarray(keep[labels])


def _disc(size: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _sharpness(patches: Rgb) -> float:
    """90th percentile over patches of the Laplacian's variance against the patch's own contrast."""
    values = []
    for patch in patches:
        grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
        spread = float(grey.var())
        if spread < 12:
            continue  # glass: nothing to be sharp about
        fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)
        values.append(float(fine.var()) / spread)
    return float(np.percentile(values, 90)) if values else float("nan")


def quality(overview: Rgb, mask: Bool, patches: Rgb) -> Quality:
    """Judge a slide by its overview, tissue mask (H, W) and sampled patches (N, 256, 256, 3).

    N may be 0: then blur is not judged.
    """
    measures: dict[str, float] = {"tissue_share": float(mask.mean())}
    white = white_point(overview)
    measures["white_min"], measures["white_spread"] = min(white), max(white) - min(white)
    measures["dark_share"] = float(np.mean(extremes(overview)[1] < 60))
    flags: set[str] = set()
    if _is_dark_field(overview):
        flags.add("fluorescence")
    elif mask.mean() < _MIN_TISSUE_SHARE or int(mask.sum()) < 16:
        flags.add("no_tissue")
    else:
        measures |= _stain_measures(overview[mask], white)
        off = measures["off_stain_share"] > 0.60 or measures["grey_share"] > 0.95
        if measures["pink_share"] > 0.30 or off:
            flags.add("wrong_stain")
    if "fluorescence" not in flags:
        measures["glass_cast"] = _glass_cast(overview, mask)
        if measures["glass_cast"] > 50:
            flags.add("colour_cast")
    measures["sharpness"] = _sharpness(patches)
    if "fluorescence" not in flags and measures["sharpness"] < 0.008:
        flags.add("blur")
    return Quality(tuple(f for f in FLAGS if f in flags), measures)


def _glass_cast(overview: Rgb, mask: Bool) -> float:
    """Colour of the bare glass: largest less smallest channel of its median; 0 if none is seen."""
    brightness = overview.mean(axis=-1)
    bright = max(120.0, 0.9 * float(np.percentile(brightness, 99)))
    glass = overview[~mask & (brightness > bright)]
    if len(glass) < 0.005 * mask.size:
        return 0.0
    middle = np.median(glass, axis=0)
    return float(middle.max() - middle.min())


def _stain_measures(tissue: Rgb, white: tuple[float, float, float]) -> dict[str, float]:
    """Shares of stained tissue pixels: pink (eosin), brown, blue, none of H-DAB, grey."""
    density = optical_density(tissue, white)
    total = density.sum(axis=-1)
    stained = density[total > 0.15]
    out = {"stained_share": float(len(stained) / max(1, len(total)))}
    if len(stained) < 50:
        return out | dict.fromkeys(
            ("pink_share", "brown_share", "blue_share", "off_stain_share", "grey_share"), 0.0
        )
    spread = np.ptp(tissue[total > 0.15], axis=-1)
    r, g, b = (stained / stained.sum(axis=-1, keepdims=True)).T
    # eosin absorbs green alone; haematoxylin red and green; DAB blue most
    pink = (g > 0.46) & (r < 0.36) & (b < g - 0.08)
    brown = (b > 0.38) & (b >= g - 0.02) & (r < 0.32)
    blue = (r > 0.33) & (b < 0.34) & ~pink
    amounts = stained @ StainVectors().unmixing()
    residual = np.abs(amounts[:, 2]) / np.maximum(amounts[:, 0] + amounts[:, 1], 0.02)
    return out | {
        "pink_share": float(pink.mean()),
        "brown_share": float(brown.mean()),
        "blue_share": float(blue.mean()),
        "off_stain_share": float((residual > 0.8).mean()),
        "grey_share": float((spread <= _GREY).mean()),
    }
