"""The versions that the product brings: which of them predicts in a new installation."""

import logging

from backend import wiring
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.service import EIGHT_BITS, Shipped
from backend.learning.model_versions.tables import ModelKind
from backend.settings import Settings
from models.starter import StarterDamaged, shipped
from worker.predictors import cold_start_version

log = logging.getLogger(__name__)


def register_shipped(database: Database, settings: Settings) -> None:
    """Register starter and cold start, the one that is set first: it predicts if nothing else does.

    Safe to call anywhere. An installation in which a version is active keeps it. A package whose
    starter is damaged begins with the cold start, and the log says so.
    """
    # a version that becomes active is news
    wiring.listen()
    blobs = Blobs(settings.blob_folder)
    # stored before the transaction that names them: nobody waits for a disk
    versions = [cold_start_version(blobs)]
    try:
        versions.insert(settings.first_model == "cold-start", starter_version(blobs))
    except StarterDamaged as error:
        log.warning("%s Only the cold start is offered.", error)
    with database.writing() as session:
        for version in versions:
            model_versions.ensure_shipped(session, version)


def starter_version(blobs: Blobs) -> Shipped:
    """Store the starter's weights and ranges; return the version that they are."""
    starter = shipped()
    card = starter.card
    weights = blobs.put(starter.weights)
    eight_bits = {
        "weights_sha256": weights,
        "ranges_sha256": blobs.put(starter.ranges),
        "costs": card["eight_bits"],
    }
    return Shipped(
        name=starter.name,
        kind=ModelKind.EUGMT,
        weights_sha256=weights,
        config={"training": card["training"], "card": card, EIGHT_BITS: eight_bits},
        metrics=card["metrics"],
        threshold=card["threshold"],
        note=card["summary"],
    )
