"""The ranges that a model version's eight bits are read from: taken once, then frozen with it.

They come from patches that the version learned from, so they can be named: the weights, the
patches and the ranges stand in one blob, and the first one that is written counts.
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backend.kit.db.session import Database
from backend.kit.errors import Conflict
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.rounds.snapshot import Snapshot
from backend.settings import Settings
from backend.slides.patches.tables import PatchRole
from worker.data import Images, read_unlabelled

if TYPE_CHECKING:
    from models.inference.calibration import Calibration

log = logging.getLogger(__name__)


class PrecisionUnavailable(Conflict):
    code, title = "precision_unavailable", "This precision can't be had"


class Installation(Protocol):
    """Where weights, slides and rows lie: a JobContext, or anything else that has them."""

    @property
    def settings(self) -> Settings: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def database(self) -> Database: ...


def calibration_of(installation: Installation, version: ModelVersion) -> "Calibration":
    """Return a version's frozen ranges; take them now if there are none yet."""
    from models.inference.calibration import Calibration

    weights_sha256 = version.weights_sha256 or ""
    with installation.database.reading() as session:
        known = model_versions.ranges_of(session, version.id, weights_sha256)
    known = known or freeze(installation, version, installation.blobs.path(weights_sha256))
    return Calibration.from_document(installation.blobs.read(known))


def freeze(installation: Installation, version: ModelVersion, weights: Path) -> str:
    """Take ranges and say what they cost; return the sha256 of those that count."""
    from models.inference.eight_bits import frozen

    patches = learned_from(installation, version)
    calibration, costs = frozen(weights, patches, threads=installation.settings.threads)
    for precision, cost in costs.items():
        # whoever chose it is to see what it costs
        log.warning("%s in %s: %s", version.name, precision, cost)
    sha256 = installation.blobs.put(calibration.document())
    with installation.database.writing() as session:
        return model_versions.freeze_ranges(
            session,
            version.id,
            weights_sha256=calibration.weights_sha256,
            ranges_sha256=sha256,
            costs={precision: asdict(cost) for precision, cost in costs.items()},
        )


def learned_from(installation: Installation, version: ModelVersion) -> Images:
    """Read some of the annotated patches that a version learned from, from all over them."""
    from models.inference.eight_bits import spread

    if version.snapshot_sha256 is None:
        raise PrecisionUnavailable(
            f"{version.name} was not trained here: no patches are known to take the ranges for "
            "eight bits from. Set MEMBRANA_INFERENCE_PRECISION to f32.",
            code="ranges_missing",
        )
    snapshot = Snapshot.from_document(installation.blobs.read(version.snapshot_sha256))
    learned = snapshot.of_role(PatchRole.TRAINING)
    few = [learned[index] for index in spread(len(learned))]
    return read_unlabelled(installation.database, installation.settings, few, lambda: None)
