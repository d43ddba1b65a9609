"""From a model version's row to something that predicts."""

import json
from dataclasses import asdict

from sqlalchemy.orm import Session

from backend.model_versions import service as model_versions
from backend.storage.blobs import Blobs
from models.cold_start import ColdStartParameters


def register_cold_start(session: Session, blobs: Blobs) -> None:
    """Make sure that a model version predicts from the very first start. Safe to call anywhere."""
    parameters = asdict(ColdStartParameters())
    document = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    model_versions.ensure_cold_start(
        session, weights_sha256=blobs.put(document.encode()), config=parameters
    )
