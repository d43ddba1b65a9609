"""The proposal before any training: brown, thin and darker than its surroundings.

Two rules vote: a ridge rule (the density curves like a line) and an adaptive rule (the density
stands out of its neighbourhood). Their blend is the probability; they are the two students.
What both take for membrane is none where it is grey, blue or pink, where it is a lump (a brown
nucleus) and not a line or a net of lines, and where it is shorter than any membrane to be seen.
Figures: benchmarks/results/cold_start.json.
"""

import hashlib
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.canonical import canonical
from models.pieces import crumbs, lumps
from models.prediction import Prediction
from models.stain import StainVectors, optical_density

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ColdStartParameters:
    """Constants of the two rules; lengths in analysis px (0.25 µm), densities in log10 DAB."""

    white: tuple[float, float, float] = (240.0, 240.0, 240.0)
    haematoxylin: tuple[float, float, float] = (0.65, 0.70, 0.29)
    dab: tuple[float, float, float] = (0.27, 0.57, 0.78)
    line_sigma_px: float = 2.0
    surround_px: int = 41
    ridge_od: float = 0.035
    contrast_od: float = 0.09
    brown_od: float = 0.10
    brown_hue_od: float = 0.015
    """Brown dims blue more than red by this much, somewhere within half a micrometre (chroma of a
    JPEG is blurred); grey and blue things do not. 0: no such rule."""
    pinkest: float = -0.16
    """Least (blue − green) / (red + green + blue) of densities; eosin lies below. −1: no rule."""
    thickest_px: int = 13
    """Diameter of a disc that a piece of membrane does not mostly consist of; 0: no such rule."""
    largest_lump_px: int = 4000
    """Area of a few touching nuclei: a larger piece is a net of membranes, however thick."""
    longest_arm_px: int = 10
    """A lump reaches no farther beyond its thick part: what does is a membrane with a thick place,
    however dark. 0: the earlier rule, which knew no arms."""
    lump_od: tuple[float, ...] = (0.2, 0.3, 0.45)
    """Densities at which lumps are looked for, beside those of the rules' own pieces."""
    shortest_px: int = 16
    """Diagonal of a piece of membrane, 4 µm; 0: no such rule."""
    softness: float = 0.3
    """Width of the logistic in units of the rules' thresholds."""


class ColdStart:
    """A Predictor that knows only stains; each patch is judged alone and deterministically."""

    def __init__(self, parameters: ColdStartParameters | None = None) -> None:
        self.parameters = parameters or ColdStartParameters()
        p = self.parameters
        self._to_dab = StainVectors(p.haematoxylin, p.dab).unmixing()[:, 1]

    @property
    def batch_size(self) -> int:
        return 16

    @property
    def backend(self) -> str:
        return f"opencv {cv2.__version__} cpu"

    def parameters_json(self) -> bytes:
        """Canonical JSON of the parameters: what a model version stores."""
        return canonical({"kind": "cold-start", **asdict(self.parameters)})

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.parameters_json()).hexdigest()

    def __call__(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Predict RGB patches, uint8 (B, H, W, 3)."""
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise ValueError(
                f"patches must be uint8 (B, H, W, 3), got {images.dtype} {images.shape}"
            )
        probability = np.empty(images.shape[:3], np.float32)
        students = np.empty((2, *images.shape[:3]), np.bool_)
        for index, image in enumerate(images):
            probability[index], students[0, index], students[1, index] = self._one(image)
        return Prediction(probability, students)

    def _one(
        self, image: npt.NDArray[np.uint8]
    ) -> tuple[Float, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        p = self.parameters
        density = optical_density(image, p.white)
        dab = density @ self._to_dab
        brown = np.asarray(cv2.GaussianBlur(dab, (0, 0), 1.0), np.float32)
        side = (p.surround_px, p.surround_px)
        contrast = brown - cv2.blur(dab, side, borderType=cv2.BORDER_REFLECT)
        ridge = _ridge(dab, p.line_sigma_px)
        stained = np.minimum(brown / p.brown_od, _hue(density, p))
        by_ridge = np.minimum(ridge / p.ridge_od, stained) - 1
        by_contrast = np.minimum(contrast / p.contrast_od, stained) - 1
        score = 0.5 * (by_ridge + by_contrast)
        none = _no_membrane(score > 0, brown, p)
        score, by_ridge, by_contrast = (
            np.where(none, np.minimum(rule, -1), rule) for rule in (score, by_ridge, by_contrast)
        )
        probability = 1 / (1 + np.exp(np.clip(-score / p.softness, -30, 30)))
        return probability.astype(np.float32), by_ridge > 0, by_contrast > 0


_HOLE_PX = 200
_HALF, _MOSTLY = 0.5, 0.7
_REACH_PX = 5
_TOO_DARK = 1.5
"""Sum of three densities from which a camera's hue says nothing."""


def _hue(density: Float, p: ColdStartParameters) -> Float:
    """How brown (H, W, 3) is: 1 at the threshold, not above 0 where it is pink."""
    if not p.brown_hue_od:
        return np.full(density.shape[:2], np.inf, np.float32)
    red, green, blue = cv2.split(cv2.GaussianBlur(density, (0, 0), 1.0))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_REACH_PX, _REACH_PX))
    hue: Float = cv2.dilate(blue - red, around) / np.float32(p.brown_hue_od)
    total = red + green + blue
    pink = (blue - green < p.pinkest * np.maximum(total, 0.05)) & (total < _TOO_DARK)
    return np.where(pink, np.minimum(hue, 0), hue).astype(np.float32)


def _no_membrane(
    mask: npt.NDArray[np.bool_], brown: Float, p: ColdStartParameters
) -> npt.NDArray[np.bool_]:
    """Tell lumps and crumbs of what the rules take for membrane."""
    none = np.zeros_like(mask)
    if p.thickest_px:
        hole = _HOLE_PX if p.longest_arm_px else 0
        sizes = p.thickest_px, p.largest_lump_px, p.longest_arm_px, hole
        none = lumps(mask, *sizes, _HALF)
        for level in p.lump_od:
            none |= lumps(brown > level, *sizes, _MOSTLY)
    return none | crumbs(mask & ~none, p.shortest_px) if p.shortest_px else none


def _ridge(density: Float, sigma: float) -> Float:
    """Strength of a bright line: −σ² × the Hessian's smaller eigenvalue, ≥ 0, as a density."""
    smooth = cv2.GaussianBlur(density, (0, 0), sigma)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3, scale=0.25)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3, scale=0.25)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3, scale=0.25)
    root = np.sqrt((xx - yy) ** 2 * 0.25 + xy * xy)
    smaller = (xx + yy) * 0.5 - root
    line: Float = np.maximum(-smaller * np.float32(sigma * sigma), 0).astype(np.float32)
    return line
