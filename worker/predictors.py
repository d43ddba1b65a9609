"""From a model version's row to something that predicts."""

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from backend.kit.errors import MembranaError
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.service import Shipped
from backend.learning.model_versions.tables import ModelKind, ModelVersion
from backend.settings import Settings
from models.cold_start import ColdStart, ColdStartParameters
from models.prediction import Predictor
from worker.calibration import Installation, PrecisionUnavailable, calibration_of

if TYPE_CHECKING:
    from models.inference.calibration import Calibration, Precision
    from models.inference.choice import Backend

log = logging.getLogger(__name__)
COLD_START = "cold-start"
KEPT = 2
"""Predictors kept in a process: the active version, and the one a round compares it with."""


class NoWeights(MembranaError):
    status, code, title = 409, "model_version_without_weights", "This model version can't predict"


def register_cold_start(session: Session, blobs: Blobs) -> None:
    """Make sure that the stain rule is among the versions; it predicts if nothing else does."""
    model_versions.ensure_shipped(session, cold_start_version(blobs))


def cold_start_version(blobs: Blobs) -> Shipped:
    """Store the stain rule's parameters; return the version that they are."""
    document = ColdStart().parameters_json()
    return Shipped(
        name=COLD_START,
        kind=ModelKind.COLD_START,
        weights_sha256=blobs.put(document),
        config=json.loads(document),
        note="A stain-separation proposal: nothing has been learned yet.",
    )


def predictor_for(installation: Installation, version: ModelVersion) -> Predictor:
    """Return the predictor of a model version; kept in this process by the weights' sha256."""
    if version.weights_sha256 is None:
        raise NoWeights(f"{version.name} has no weights: it is {version.state}.")
    path = installation.blobs.path(version.weights_sha256)
    if version.kind == ModelKind.COLD_START:
        return cold_start(installation.blobs.read(version.weights_sha256))
    settings = installation.settings
    from models.networks import NetworkError

    try:
        require_precision(settings)
        narrow = settings.inference_precision != "f32"
        return trained(
            path,
            version.weights_sha256,
            settings.threads,
            settings.inference_backend,
            settings.inference_views,
            settings.inference_precision,
            calibration_of(installation, version) if narrow else None,
        )
    except NetworkError as error:
        raise PrecisionUnavailable(str(error), code=error.code) from error


def require_precision(settings: Settings) -> None:
    """Raise PrecisionUnavailable where the setting's precision can't be had on this machine."""
    if settings.inference_precision == "f32":
        return
    from models.inference.choice import check_precision
    from models.networks import NetworkError

    try:
        check_precision(settings.inference_precision, settings.inference_backend)
    except NetworkError as error:
        raise PrecisionUnavailable(
            f"MEMBRANA_INFERENCE_PRECISION: {error}", code=error.code
        ) from error


_BEFORE: dict[str, Any] = {
    "thickest_px": 0,
    "brown_hue_od": 0,
    "pinkest": -1,
    "longest_arm_px": 0,
    "lump_od": (),
    "shortest_px": 0,
}
"""Documents from before a rule go on without it: a version's masks can be computed again."""


def cold_start(document: bytes) -> ColdStart:
    """Return the cold start of a parameters' document (not of this version's defaults)."""
    content = _BEFORE | json.loads(document)
    parameters: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
        if name != "kind"
    }
    return ColdStart(ColdStartParameters(**parameters))


@lru_cache(KEPT)
def trained(
    path: Path,
    sha256: str,
    threads: int,
    backend: "Backend" = "auto",
    views: str = "once",
    precision: "Precision" = "f32",
    calibration: "Calibration | None" = None,
) -> Predictor:
    """Load a trained network. Torch is imported here: the cold start never waits for it."""
    from models.inference.averaging import Averaged
    from models.inference.choice import load

    predictor: Predictor = load(
        path, backend=backend, threads=threads, precision=precision, calibration=calibration
    )
    if views != "once":
        predictor = Averaged(predictor, views)
    log.info("weights %s predict with %s", sha256, predictor.backend)
    return predictor
