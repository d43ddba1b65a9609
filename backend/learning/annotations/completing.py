"""A patch said to be complete: what nobody has looked at in it becomes what is shown there."""

from enum import StrEnum

import numpy as np
from sqlalchemy.orm import Session

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.pyramids import Channel
from backend.learning.annotations import masks, service
from backend.learning.annotations.masks import Mask
from backend.learning.annotations.service import Draft, Written
from backend.learning.annotations.tables import Source
from backend.learning.predictions import patch_layers
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.patches import service as patches
from backend.slides.patches.tables import Patch, PatchState

DONE = (PatchState.ANNOTATED, PatchState.APPROVED)


class Unseen(StrEnum):
    """What is shown where nobody has looked: the model's proposal, if there is one, or nothing."""

    PROPOSAL = "proposal"
    BACKGROUND = "background"


def draft_of(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    patch_id: str,
    *,
    base_revision: int,
    unseen: Unseen,
    model_version_id: str | None,
    seconds_spent: float | None,
) -> Draft:
    """Return the complete mask, to be saved by the rules of a save.

    Pixels are read here, before anybody's transaction waits for them.
    """
    with database.reading() as session:
        patch = patches.get(session, patch_id)
        if not 0 <= base_revision <= patch.revision:
            raise service.stale(session, patch)
        shown = prediction_shown(session, patch, model_version_id, unseen)
        mask = service.mask_at(session, blobs, patch.id, base_revision)
        mask = whole(mask, shown, session, patch, settings)
    return Draft(
        mask,
        base_revision,
        Source.SCRATCH if shown is None else Source.EDITED,
        seconds_spent,
        model_version_id=shown.model_version_id if shown else None,
    )


def already(session: Session, patch_id: str, base_revision: int) -> Written | None:
    """Return the newest revision if the patch is complete as it is, and waits for nobody."""
    patch = patches.get(session, patch_id)
    if base_revision != patch.revision or patch.state not in DONE or patch.unseen_px:
        return None
    return Written(service.newest_of(session, patch_id), new=False)


def prediction_shown(
    session: Session, patch: Patch, model_version_id: str | None, unseen: Unseen
) -> Prediction | None:
    """Return whose proposal is shown; raise NoPrediction if a version is named and has none."""
    if unseen == Unseen.BACKGROUND:
        return None
    if model_version_id is not None:
        return patch_layers.prediction_of(session, patch, model_version_id)
    scored = predictions.of_patch(session, patch.id)
    return scored[1] if scored else None


def whole(
    mask: Mask, shown: Prediction | None, session: Session, patch: Patch, settings: Settings
) -> Mask:
    """Return the mask with what is shown where nobody has looked."""
    rest = np.zeros_like(mask)
    if shown is not None:
        slide = slides.get(session, patch.slide_id)
        probability = patch_layers.channel(slide, patch, shown, Channel.PROBABILITY, settings)
        rest = patch_layers.proposal_of(probability)
    return np.where(mask == masks.UNSEEN, rest, mask)
