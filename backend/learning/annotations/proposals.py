"""How far a mask is from what models proposed of its patch: a person's word, or a model's?

The service compares pixels itself and trusts no claim. Versions that had proposed nothing of the
patch when its mask was saved have no figures: nobody can have seen their proposals.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.kit.storage.pyramids import Channel
from backend.learning.annotations.masks import IGNORE, UNSEEN, Mask
from backend.learning.annotations.tables import Annotation, AnnotationProposal
from backend.learning.predictions import patch_layers
from backend.learning.predictions.service import NoPrediction
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch

MOST_VERSIONS = 8
"""Proposals that a mask is compared with, each a read of a file: first the one that was shown,
then the newest: an older one is on nobody's screen."""
MEMBRANE = 255


@dataclass(frozen=True)
class Distance:
    """A mask beside a model version's proposal; `same`: pixel for pixel, where somebody looked.

    differing_px: membrane in one of the two only; membrane_px: in either. Ignored and unseen pixels
    are in neither: no model is judged on them, and marking them changes nothing of a proposal.
    """

    model_version_id: str
    differing_px: int
    membrane_px: int
    same: bool


def distances_of(
    slide: Slide, patch: Patch, proposing: Sequence[Prediction], mask: Mask, settings: Settings
) -> list[Distance]:
    """Return how far a mask, uint8 (256, 256), is from each prediction's proposal, in their order.

    A prediction whose files are gone is left out.
    """
    distances = []
    for prediction in proposing:
        try:
            probability = patch_layers.channel(
                slide, patch, prediction, Channel.PROBABILITY, settings
            )
        except NoPrediction:
            continue
        proposal = patch_layers.proposal_of(probability)
        looked_at = mask != UNSEEN
        counted = looked_at & (mask != IGNORE)
        proposed, drawn = (proposal == MEMBRANE) & counted, mask == MEMBRANE
        distances.append(
            Distance(
                prediction.model_version_id,
                differing_px=int((proposed ^ drawn).sum()),
                membrane_px=int((proposed | drawn).sum()),
                same=bool(looked_at.any() and (proposal == mask)[looked_at].all()),
            )
        )
    return distances


def figures_of(
    session: Session, annotation_ids: Collection[str], model_version_ids: Collection[str]
) -> Sequence[AnnotationProposal]:
    """Return how far masks were from what some versions had proposed, where they had."""
    return session.scalars(
        select(AnnotationProposal).where(
            AnnotationProposal.annotation_id.in_(annotation_ids),
            AnnotationProposal.model_version_id.in_(model_version_ids),
        )
    ).all()


def record(session: Session, annotation: Annotation, distances: Sequence[Distance]) -> None:
    """Write the figures beside a new revision.

    Those of an earlier revision with the same mask stay true of it, if that version's files are
    gone by now or were not asked.
    """
    earlier = session.scalars(
        select(AnnotationProposal)
        .join(Annotation, AnnotationProposal.annotation_id == Annotation.id)
        .where(
            Annotation.patch_id == annotation.patch_id,
            Annotation.mask_sha256 == annotation.mask_sha256,
        )
    )
    figures = {row.model_version_id: (row.differing_px, row.membrane_px) for row in earlier}
    figures |= {each.model_version_id: (each.differing_px, each.membrane_px) for each in distances}
    session.add_all(
        AnnotationProposal(
            annotation_id=annotation.id,
            model_version_id=model_version_id,
            differing_px=differing_px,
            membrane_px=membrane_px,
        )
        for model_version_id, (differing_px, membrane_px) in figures.items()
    )
    session.flush()
