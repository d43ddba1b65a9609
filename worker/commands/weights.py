"""What draws a picture's masks: weights, the starter of the package, or the stain rule."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.kit.storage.blobs import file_sha256
from backend.settings import Settings
from backend.slides.patches.grid import analysis_region, analysis_size
from backend.slides.reading.picture import PictureReader
from models.blending import predict_whole
from models.her2.pixels import ANALYSIS_MPP, Field, MaskArrays
from models.prediction import Predictor
from models.selection import quantised
from models.starter import StarterDamaged, shipped, weights_path
from models.tiling import Box, Layout
from worker.commands.options import Refused

if TYPE_CHECKING:
    from models.inference.calibration import Calibration, Precision

Pixels = npt.NDArray[np.uint8]
SURE = 0.5
log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Drawing:
    """What draws masks. weights_sha256: None of the stain rule; sha256: of weights or rule."""

    name: str
    predictor: Predictor
    sha256: str
    weights_sha256: str | None


def drawing(model: Path | None, ranges: "Calibration | None" = None) -> Drawing:
    """Return what a weights file draws with, or what a new installation proposes with.

    That is the starter, or the stain rule with MEMBRANA_FIRST_MODEL=cold-start and where the
    package's starter is damaged. ranges: frozen with these weights; with them it predicts in
    eight bits.
    """
    if model is not None:
        check_model(model)
        sha256 = file_sha256(model)
        return Drawing(model.name, trained(model, ranges), sha256, sha256)
    if Settings().first_model == "starter":
        try:
            starter = shipped()
        except StarterDamaged as error:
            log.warning("%s The stain rule draws the masks.", error)
        else:
            predictor = trained(weights_path())
            return Drawing(starter.name, predictor, starter.sha256, starter.sha256)
    from models.cold_start import ColdStart

    rule = ColdStart()
    return Drawing("cold-start", rule, rule.sha256, None)


def trained(model: Path, ranges: "Calibration | None" = None) -> Predictor:
    from models.inference.choice import load

    precision: Precision = "int8" if ranges else "f32"
    predictor: Any = load(model, threads=1, precision=precision, calibration=ranges)
    return predictor  # type: ignore[no-any-return]


def check_model(model: Path) -> None:
    if not model.is_file():
        raise Refused(f"There is no file {model}.", code="model_missing")
