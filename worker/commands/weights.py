"""Weights that draw a picture's masks, or the stain rule, which needs none."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.slides.patches.grid import analysis_region, analysis_size
from backend.slides.reading.picture import PictureReader
from models.blending import predict_whole
from models.her2.pixels import ANALYSIS_MPP, Field, MaskArrays
from models.prediction import Predictor
from models.selection import quantised
from models.tiling import Box, Layout
from worker.commands.options import Refused

if TYPE_CHECKING:
    from models.inference.calibration import Calibration, Precision

Pixels = npt.NDArray[np.uint8]
SURE = 0.5


def predicted(field: Field, predictor: Predictor) -> MaskArrays:
    """Return what a predictor takes for membrane at the analysis' resolution, as the service does.

    The same pixels on the same tiles: of one picture and one model they have the same masks.
    """
    reader = PictureReader(field.image)

    def read(box: Box) -> Pixels:
        place = (box.left, box.top, box.width, box.height)
        return reader.read(analysis_region(field, *place, ANALYSIS_MPP), (box.width, box.height))

    layout = Layout(*analysis_size(field, ANALYSIS_MPP))
    probability = predict_whole(predictor, layout, read).probability
    membrane = probability[0] >= SURE
    return MaskArrays(membrane, np.zeros_like(membrane), quantised(probability)[0])


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
