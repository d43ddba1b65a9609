"""Weights that draw a picture's masks, or the stain rule, which needs none."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.her2.pixels import ANALYSIS_MPP, Field, MaskArrays, scaled
from models.prediction import Predictor
from worker.commands.options import Refused

if TYPE_CHECKING:
    from models.inference.calibration import Calibration, Precision

SURE = 0.5


def predicted(field: Field, predictor: Predictor) -> MaskArrays:
    """Return what a predictor takes for membrane at the analysis' resolution."""
    from models.inference.regions import predict_region

    width, height = (scaled(n, field.mpp, ANALYSIS_MPP) for n in (field.width, field.height))
    image = field.read(0, 0, width, height, ANALYSIS_MPP)
    probability = predict_region(predictor, image).probability[0]
    membrane = probability >= SURE
    likely = np.rint(probability * 255).astype(np.uint8)
    return MaskArrays(membrane, np.zeros_like(membrane), likely)


def predictor_of(model: Path | None, ranges: "Calibration | None" = None) -> Predictor:
    """Return the predictor of a weights file, or the stain rule that needs none.

    ranges: frozen with these weights; with them it predicts in eight bits.
    """
    if model is None:
        from models.cold_start import ColdStart

        return ColdStart()
    check_model(model)
    from models.inference.choice import load

    precision: Precision = "int8" if ranges else "f32"
    predictor: Any = load(model, threads=1, precision=precision, calibration=ranges)
    return predictor  # type: ignore[no-any-return]


def check_model(model: Path) -> None:
    if not model.is_file():
        raise Refused(f"There is no file {model}.", code="model_missing")
