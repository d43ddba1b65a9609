"""What is no membrane, whatever proposes it: grey, blue and pink things, brown nuclei, crumbs.

Of the cold start, and of a network that has seen few slides: it may carry these rules with its
weights (`Ensemble.stain_rules`). Figures: benchmarks/results/cold_start.json.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.metrics.threshold import HALF
from models.pieces import crumbs, lumps
from models.prediction import Prediction, Predictor
from models.stain import StainVectors, optical_density

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StainRules:
    """Constants of the rules; lengths in analysis px (0.25 µm), densities in log10 DAB."""

    white: tuple[float, float, float] = (240.0, 240.0, 240.0)
    haematoxylin: tuple[float, float, float] = (0.65, 0.70, 0.29)
    dab: tuple[float, float, float] = (0.27, 0.57, 0.78)
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


class StainRuled:
    """A Predictor over another one: where the rules see no membrane, nothing is proposed.

    Neither by the students: nobody is asked to look there.
    """

    def __init__(self, predictor: Predictor, rules: StainRules | None = None) -> None:
        self.predictor, self.rules = predictor, rules or StainRules()

    @property
    def batch_size(self) -> int:
        return self.predictor.batch_size

    @property
    def backend(self) -> str:
        return self.predictor.backend

    def __call__(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Predict RGB patches or windows, uint8 (B, H, W, 3)."""
        prediction = self.predictor(images)
        proposed = prediction.probability >= HALF
        none = np.zeros_like(proposed)
        for number in np.flatnonzero((proposed | prediction.students.any(0)).any((1, 2))):
            of_colour = wrong_colour(images[number], self.rules)
            none[number] = no_membrane(proposed[number], of_colour, self.rules)
        return Prediction(np.where(none, 0, prediction.probability), prediction.students & ~none)


_HOLE_PX = 200
_HALF_FULL, _MOSTLY = 0.5, 0.7
_REACH_PX = 5
_TOO_DARK = 1.5
"""Sum of three densities from which a camera's hue says nothing."""


def smoothed(density: Float) -> Float:
    """Return densities (H, W) without the noise of single pixels."""
    return np.asarray(cv2.GaussianBlur(density, (0, 0), 1.0), np.float32)


def hue(density: Float, rules: StainRules) -> Float:
    """How brown (H, W, 3) is: 1 at the threshold, not above 0 where it is pink."""
    if not rules.brown_hue_od:
        return np.full(density.shape[:2], np.inf, np.float32)
    red, green, blue = cv2.split(cv2.GaussianBlur(density, (0, 0), 1.0))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_REACH_PX, _REACH_PX))
    browner: Float = cv2.dilate(blue - red, around) / np.float32(rules.brown_hue_od)
    total = red + green + blue
    pink = (blue - green < rules.pinkest * np.maximum(total, 0.05)) & (total < _TOO_DARK)
    return np.where(pink, np.minimum(browner, 0), browner).astype(np.float32)


def nuclei(brown: Float, rules: StainRules) -> Bool:
    """Tell brown nuclei and smears, bool (H, W), in a density (H, W)."""
    none = np.zeros(brown.shape, np.bool_)
    if rules.thickest_px:
        for level in rules.lump_od:
            none |= lumps(brown > level, *_sizes(rules), _MOSTLY)
    return none


def wrong_colour(image: npt.NDArray[np.uint8], rules: StainRules) -> Bool:
    """Tell what a mask has nothing to do with, bool (H, W): what is not brown, and brown nuclei."""
    density = optical_density(image, rules.white)
    dab = density @ StainVectors(rules.haematoxylin, rules.dab).unmixing()[:, 1]
    return (hue(density, rules) < 1) | nuclei(smoothed(dab), rules)


def no_membrane(proposed: Bool, none: Bool, rules: StainRules) -> Bool:
    """Join to what is none, bool (H, W), the lumps and crumbs of what is taken for membrane."""
    if rules.thickest_px:
        none = none | lumps(proposed, *_sizes(rules), _HALF_FULL)
    return none | crumbs(proposed & ~none, rules.shortest_px) if rules.shortest_px else none


def _sizes(rules: StainRules) -> tuple[int, int, int, int]:
    hole = _HOLE_PX if rules.longest_arm_px else 0
    return rules.thickest_px, rules.largest_lump_px, rules.longest_arm_px, hole
