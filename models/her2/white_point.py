"""What must be known of the whole slide before a tile is measured: its white, colours and focus.

Measured once on a low-power picture and a few samples, so that tiles and later local edits all
stand on the same numbers.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from models.her2.evaluated import Tissue
from models.her2.flags import Flag
from models.her2.optical_density import NOT_GLASS, Densities, density_of
from models.her2.pixels import Pixels, scaled
from models.stain import WHITE, StainVectors, extremes
from models.tissue import quality, tissue_mask

Rgb = npt.NDArray[np.uint8]

OVERVIEW_PX = 2048
BLOCK_PX = 128
"""Side of a block whose focus is judged, at FOCUS_MPP: 64 µm, as wide as a tile's halo."""
FOCUS_MPP = 0.5
_SAMPLES = 48
_DIM, _TINTED, _UNEXPLAINED = 200.0, 20.0, 0.03


@dataclass(frozen=True)
class Survey:
    """White point (R, G, B), mean residual of the stain separation, median focus, and remarks.

    Of the slide and the stain vectors alone: an edit of regions leaves every density as it was.
    `white_measured` is False where no glass was seen and `models.stain.WHITE` stands in.
    `tissue`: where the slide has any.
    """

    white: tuple[float, float, float]
    white_measured: bool
    residual: float
    focus: float
    flags: tuple[Flag, ...]
    tissue: Tissue = field(default_factory=Tissue.everywhere)


def survey(slide: Pixels, vectors: StainVectors) -> Survey:
    """Look at a slide as a whole (her2.md §3.1, §3.9)."""
    longest = max(slide.width, slide.height) * slide.mpp
    mpp = max(FOCUS_MPP, longest / OVERVIEW_PX)
    size = scaled(slide.width, slide.mpp, mpp), scaled(slide.height, slide.mpp, mpp)
    overview = slide.read(0, 0, *size, mpp)
    bare_glass = measure_white(overview)
    white = bare_glass or WHITE
    tissue = tissue_mask(overview, mpp)
    overview_quality = quality(overview, tissue, np.zeros((0, 256, 256, 3), np.uint8))
    flags = []
    if "fluorescence" in overview_quality.flags:
        flags.append(Flag("fluorescence"))
    if "wrong_stain" in overview_quality.flags:
        flags.append(Flag("colour", "The colours are not those of haematoxylin and DAB."))
    if bare_glass is None:
        flags.append(
            Flag(
                "white_point",
                "No bare glass was seen, so the white of an average scanner is taken for it.",
            )
        )
    elif min(white) < _DIM or max(white) - min(white) > _TINTED:
        spoken = ", ".join(f"{level:.0f}" for level in white)
        flags.append(
            Flag(
                "white_point",
                f"The bare glass is not white: red, green and blue are {spoken} of 255. All "
                "densities are measured against it.",
            )
        )
    residual = 0.0
    if tissue.any():
        amounts = Densities(white, vectors).residual(overview)
        residual = float(np.abs(amounts[tissue]).mean())
    if residual > _UNEXPLAINED:
        flags.append(
            Flag(
                "stain_residual",
                f"An optical density of {residual:.3f} on average is neither haematoxylin nor "
                "DAB: the tissue has another colour, or other stains than the protocol's.",
            )
        )
    focus = _usual_focus(slide, overview, white, mpp)
    here = Tissue.of(overview, white, mpp)
    return Survey(white, bare_glass is not None, residual, focus, tuple(flags), here)


def measure_white(overview: Rgb) -> tuple[float, float, float] | None:
    """Measure the glass: per channel the 98th percentile of bright, colourless, smoothed pixels.

    None where too little is seen. her2.md §3.1 takes the 75th, which on fields without glass
    reads pale tissue: 10 grey levels too dark on phantoms (0.02 of density), against 0.3 here.
    """
    smooth = np.asarray(cv2.GaussianBlur(overview, (0, 0), 2.0), np.uint8)
    low, high = extremes(smooth)
    glass = smooth[(low > _DIM) & (high - low < _TINTED)]
    if len(glass) < max(64, low.size // 500):
        return None
    r, g, b = np.percentile(glass, 98, axis=0)
    return float(r), float(g), float(b)


def focus_of(block: Rgb) -> float:
    """How much of the contrast of a block's middle is fine: 0 (blurred) up; NaN without contrast.

    Variance of the Laplacian over the variance: unlike the first alone it does not take pale
    cells for blurred ones.
    """
    rim = BLOCK_PX // 4
    grey = np.asarray(cv2.cvtColor(block[rim:-rim, rim:-rim], cv2.COLOR_RGB2GRAY), np.float32)
    spread = float(grey.var())
    if spread < 12:
        return float("nan")
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)
    return float(np.var(np.asarray(fine))) / spread


def _usual_focus(
    slide: Pixels, overview: Rgb, white: tuple[float, float, float], mpp: float
) -> float:
    """Median focus of blocks spread evenly over all that is not glass; NaN without contrast.

    By density and not by the tissue mask, which may leave pale tissue out beside strong. Of real
    cores and fields 0.0 to 0.5 % of the blocks lay below 0.3 of their median, pale or strong.
    """
    side = BLOCK_PX * FOCUS_MPP / mpp
    rows, columns = (int(n / side) for n in overview.shape[:2])
    if not rows or not columns:
        return float("nan")
    whole = overview[: round(rows * side), : round(columns * side)]
    density = density_of(whole, white).astype(np.float32)
    mean = cv2.resize(density, (columns, rows), interpolation=cv2.INTER_AREA)
    places = np.argwhere(np.asarray(mean) >= NOT_GLASS)
    some = np.linspace(0, len(places) - 1, min(_SAMPLES, len(places))).astype(np.intp)
    values = []
    for row, column in places[some].tolist():
        block = slide.read(column * BLOCK_PX, row * BLOCK_PX, BLOCK_PX, BLOCK_PX, FOCUS_MPP)
        values.append(focus_of(block))
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
