"""What a model version sees of a patch, as pixels: uint8 (256, 256) each."""

from enum import StrEnum

import numpy as np
from sqlalchemy.orm import Session

from backend.kit.storage.pyramids import Channel
from backend.learning.predictions import service
from backend.learning.predictions.service import SHARD_PATCHES, NoPrediction
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.images import Pixels
from backend.slides.patches.tables import Patch

HALF = 128
"""The least stored probability that counts as membrane: 0.5, rounded as it is stored."""


class PatchLayer(StrEnum):
    """What can be shown of a model version's view of a patch."""

    PROBABILITY = "probability"
    PROPOSAL = "proposal"
    UNCERTAIN_PIXELS = "uncertain_pixels"


def proposal_of(probability: Pixels) -> Pixels:
    """Return the mask 0/255 where the probability is at least one half."""
    return np.where(probability >= HALF, np.uint8(255), np.uint8(0))


def prediction_of(session: Session, patch: Patch, model_version_id: str | None) -> Prediction:
    """Return the prediction that shows a patch; raise NoPrediction."""
    scored = service.of_patch(session, patch.id, model_version_id)
    if scored is None:
        raise NoPrediction("No model version has seen this patch yet; ask for a prediction.")
    return scored[1]


def layer_etag(session: Session, patch: Patch, prediction: Prediction, layer: PatchLayer) -> str:
    place = patch.row // SHARD_PATCHES, patch.column // SHARD_PATCHES
    sha256 = service.shard_sha256(session, prediction.id, *place)
    return f"{(sha256 or '')[:16]}-{patch.row}-{patch.column}-{layer}"


def channel(
    slide: Slide, patch: Patch, prediction: Prediction, which: Channel, settings: Settings
) -> Pixels:
    """Return one channel of a patch, uint8 (256, 256)."""
    pyramid = service.pyramid_of(slide, prediction, settings)
    x, y = patch.column * PATCH_PX, patch.row * PATCH_PX
    pixels: Pixels = pyramid.read(0, x, y, (PATCH_PX, PATCH_PX), [which])[0]
    return pixels


def pixels_of(
    slide: Slide, patch: Patch, prediction: Prediction, layer: PatchLayer, settings: Settings
) -> Pixels:
    """Return what a model version sees, uint8 (256, 256)."""
    if layer == PatchLayer.UNCERTAIN_PIXELS:
        return channel(slide, patch, prediction, Channel.FLAGGED, settings)
    probability = channel(slide, patch, prediction, Channel.PROBABILITY, settings)
    return proposal_of(probability) if layer == PatchLayer.PROPOSAL else probability
