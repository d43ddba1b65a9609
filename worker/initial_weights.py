"""What a round goes on from: the active version's weights where they fit, and else words."""

from dataclasses import replace
from pathlib import Path

from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions.tables import ModelKind, ModelVersion
from models.networks import SCRATCH, NetworkConfig
from models.training import TrainingConfig


def weights_to_go_on_from(
    blobs: Blobs, parent: ModelVersion, config: TrainingConfig
) -> tuple[Path | None, str]:
    """Return the parent's weights if they fit what is trained now; else why they don't, in words.

    Of a version without weights of a network, the cold start, there is nothing to say.
    """
    if parent.kind != ModelKind.EUGMT or parent.weights_sha256 is None:
        return None, ""
    before = parent.config.get("training", {})
    if before.get("method") != config.method:
        return None, (
            f"It began anew and not from {parent.name}, which was trained by the method "
            f"{before.get('method', 'of before')}: this one by {config.method}."
        )
    # where the encoder once began makes no difference to weights that are trained
    same = replace(config.network, encoder_weights=SCRATCH)
    known = NetworkConfig(**before["network"])
    if replace(known, encoder_weights=SCRATCH) != same:
        return None, (
            f"It began anew and not from {parent.name}, whose network is {known.architecture}: "
            f"this one's is {same.architecture}{of_encoder(known, same)}."
        )
    return blobs.path(parent.weights_sha256), ""


def of_encoder(known: NetworkConfig, own: NetworkConfig) -> str:
    """Return what tells two networks of one architecture apart, in words."""
    return "" if known.architecture != own.architecture else f" on {own.encoder}"
