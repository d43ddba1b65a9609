"""The proposal before any training: brown, thin and darker than its surroundings.

Two rules vote: a ridge rule (the density curves like a line) and an adaptive rule (the density
stands out of its neighbourhood). Their blend is the probability; they are the two students.
What both take for membrane is none where `stain_rules` says so.
Figures: benchmarks/results/cold_start.json.
"""

import hashlib
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.canonical import canonical
from models.prediction import Prediction
from models.stain import StainVectors, optical_density
from models.stain_rules import StainRules, hue, no_membrane, nuclei, smoothed

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ColdStartParameters(StainRules):
    """Constants of the two rules; lengths in analysis px (0.25 µm), densities in log10 DAB."""

    line_sigma_px: float = 2.0
    surround_px: int = 41
    ridge_od: float = 0.035
    contrast_od: float = 0.09
    brown_od: float = 0.10
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
        brown = smoothed(dab)
        side = (p.surround_px, p.surround_px)
        contrast = brown - cv2.blur(dab, side, borderType=cv2.BORDER_REFLECT)
        ridge = _ridge(dab, p.line_sigma_px)
        stained = np.minimum(brown / p.brown_od, hue(density, p))
        by_ridge = np.minimum(ridge / p.ridge_od, stained) - 1
        by_contrast = np.minimum(contrast / p.contrast_od, stained) - 1
        score = 0.5 * (by_ridge + by_contrast)
        none = no_membrane(score > 0, nuclei(brown, p), p)
        score, by_ridge, by_contrast = (
            np.where(none, np.minimum(rule, -1), rule) for rule in (score, by_ridge, by_contrast)
        )
        probability = 1 / (1 + np.exp(np.clip(-score / p.softness, -30, 30)))
        return probability.astype(np.float32), by_ridge > 0, by_contrast > 0


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
