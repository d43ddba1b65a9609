"""Which held-out masks may judge two models, and why the others may not.

A mask that is a model's proposal, accepted as it was, gives that model Dice 1 by construction, and
a head start to every network that was trained on from its weights. It counts only between models
that are neither: for them it was accepted blind, because they had proposed nothing there when it
was saved, or something else.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.learning.annotations import proposals
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelVersion

LEAST_SHARE = 0.01
"""Of the membrane that a person must have changed. A patch of 64 µm has about 25 cells, so this is
a quarter of one cell's membrane: less is a slip of the brush, and leaves its model at Dice 0.995 or
more, where no other model can come."""
LEAST_PX = 16
"""Analysis pixels: 1 µm² at 0.25 µm/px, the same where there is hardly any membrane."""


@dataclass(frozen=True)
class Accepted:
    """A model whose proposals people accepted as they were, and of how many held-out patches."""

    model_version: str
    patches: int


@dataclass(frozen=True)
class Counting:
    """annotation_ids: of the held-out masks that count; accepted: those that don't, by model."""

    annotation_ids: frozenset[str]
    accepted: tuple[Accepted, ...]


def changed(differing_px: int, membrane_px: int) -> bool:
    """Say whether a mask is another than the proposal, beyond a slip of the brush."""
    return differing_px >= max(LEAST_PX, LEAST_SHARE * membrane_px)


def lineage(session: Session, version: ModelVersion) -> list[ModelVersion]:
    """Return a version and those that it was trained on from, weights and all; newest first."""
    versions = [version]
    while versions[-1].parent_id is not None and versions[-1].config.get("warm_start"):
        versions.append(model_versions.get(session, versions[-1].parent_id))
    return versions


def counting(
    session: Session, annotation_ids: Iterable[str], compared: Sequence[ModelVersion]
) -> Counting:
    """Return which held-out masks count when these models are compared.

    compared: with the version that the candidate was trained on from.
    """
    names = {version.id: version.name for each in compared for version in lineage(session, each)}
    ids = list(annotation_ids)
    rows = proposals.figures_of(session, ids, names)
    # one mask may be the proposal of several versions: it is told of the nearest to those compared
    order = list(names)
    whose: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: order.index(row.model_version_id)):
        if not changed(row.differing_px, row.membrane_px):
            whose.setdefault(row.annotation_id, names[row.model_version_id])
    numbers = Counter(whose[each] for each in ids if each in whose)
    return Counting(
        frozenset(ids) - whose.keys(),
        tuple(Accepted(name, number) for name, number in sorted(numbers.items())),
    )
