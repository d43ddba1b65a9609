"""A patch as pictures: its pixels, and what a model version sees in them. 256×256 PNG each."""

import io
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image
from sqlalchemy.orm import Session

from backend.kit.geometry import Region0
from backend.kit.storage.pyramids import Channel
from backend.learning.predictions import service as predictions
from backend.learning.predictions.service import SHARD_PATCHES, NoPrediction
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import Patch
from backend.slides.reading.reader import open_slides

Pixels = npt.NDArray[np.uint8]
HALF = 128
"""The least stored probability that counts as membrane: 0.5, rounded as it is stored."""


class Seen(StrEnum):
    """What can be shown of a model version's view of a patch."""

    PROBABILITY = "probability"
    PROPOSAL = "proposal"
    UNCERTAIN_PIXELS = "uncertain_pixels"


def png(pixels: Pixels) -> bytes:
    """Encode (H, W) gray or (H, W, 3|4) colour; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def proposal_of(probability: Pixels) -> Pixels:
    """Return the mask 0/255 where the probability is at least one half."""
    return np.where(probability >= HALF, np.uint8(255), np.uint8(0))


def image_etag(slide: Slide, patch: Patch) -> str:
    return f"{slide.sha256[:16]}-{patch.x0:.6g}-{patch.y0:.6g}-{patch.size0:.6g}"


def image(slide: Slide, patch: Patch, settings: Settings) -> bytes:
    """Return the patch's RGB pixels on the analysis grid; raise RegionUnreadable."""
    reader = open_slides.of(slide, settings)
    # the patch's own place: its pixels are the same for ever, as its ETag says
    region = Region0(patch.x0, patch.y0, patch.size0, patch.size0)
    return png(reader.read(region, (PATCH_PX, PATCH_PX)))


def prediction_of(session: Session, patch: Patch, model_version_id: str | None) -> Prediction:
    """Return the prediction that shows a patch; raise NoPrediction."""
    found = predictions.of_patch(session, patch.id, model_version_id)
    if found is None:
        raise NoPrediction("No model version has seen this patch yet; ask for a prediction.")
    return found[1]


def seen_etag(session: Session, patch: Patch, prediction: Prediction, kind: Seen) -> str:
    place = patch.row // SHARD_PATCHES, patch.column // SHARD_PATCHES
    sha256 = predictions.shard_sha256(session, prediction.id, *place)
    return f"{(sha256 or '')[:16]}-{patch.row}-{patch.column}-{kind}"


def channel(
    slide: Slide, patch: Patch, prediction: Prediction, which: Channel, settings: Settings
) -> Pixels:
    """Return one channel of a patch, uint8 (256, 256)."""
    pyramid = predictions.pyramid_of(slide, prediction, settings)
    x, y = patch.column * PATCH_PX, patch.row * PATCH_PX
    pixels: Pixels = pyramid.read(0, x, y, (PATCH_PX, PATCH_PX), [which])[0]
    return pixels


def seen(
    slide: Slide, patch: Patch, prediction: Prediction, kind: Seen, settings: Settings
) -> Pixels:
    """Return what a model version sees, uint8 (256, 256)."""
    if kind == Seen.UNCERTAIN_PIXELS:
        return channel(slide, patch, prediction, Channel.FLAGGED, settings)
    probability = channel(slide, patch, prediction, Channel.PROBABILITY, settings)
    return proposal_of(probability) if kind == Seen.PROPOSAL else probability
