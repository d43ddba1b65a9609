"""Model versions: registered, named, compared; serving is a pointer to the one that is active."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.kit.errors import Conflict, NotFound, Unavailable
from backend.kit.events.service import announce
from backend.kit.facts import tell
from backend.kit.paging import paginate
from backend.kit.states import move, move_or_conflict
from backend.learning.model_versions.facts import ModelActivated
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings

EIGHT_BITS = "eight_bits"
"""What of a version's config says with which ranges it predicts in eight bits."""


class ModelVersionNotFound(NotFound):
    code = "model_version_not_found"


class NoActiveModel(Unavailable):
    code = "no_active_model_version"


class NotActivatable(Conflict):
    code = "model_version_not_activatable"


class ActiveModelChanged(Conflict):
    code = "active_model_version_changed"


def get(session: Session, model_version_id: str) -> ModelVersion:
    version = session.get(ModelVersion, model_version_id)
    if version is None:
        raise ModelVersionNotFound("There is no model version with this id.")
    return version


def active(session: Session) -> ModelVersion:
    """Return the version that predicts."""
    version = find_active(session)
    if version is None:
        raise NoActiveModel(
            "No model version is active yet: the first worker that starts registers the ones "
            "that the product brings. Start a worker and try again."
        )
    return version


def find_active(session: Session) -> ModelVersion | None:
    """Return the same, or None before the first worker has started."""
    return session.scalar(
        select(ModelVersion).where(ModelVersion.state == ModelVersionState.ACTIVE)
    )


def listing(
    session: Session, *, limit: int, cursor: str | None
) -> tuple[Sequence[ModelVersion], str | None]:
    """Return a page of model versions, newest first."""
    return paginate(
        session,
        select(ModelVersion),
        ModelVersion.id,
        limit=limit,
        cursor=cursor,
        newest_first=True,
    )


@dataclass(frozen=True)
class Shipped:
    """A version that the product brings. weights_sha256: of a blob that is stored already."""

    name: str
    kind: ModelKind
    weights_sha256: str
    config: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    threshold: float = 0.5
    note: str = ""


def ensure_shipped(session: Session, shipped: Shipped) -> ModelVersion:
    """Return a version that the product brings, registered on the first call.

    Where nothing predicts yet it is the one that does; elsewhere, as after an upgrade, the active
    one stays so, and people may activate this one. Workers that start together may all call this:
    unique names, and one active version, let one of them win.
    """
    for state in (ModelVersionState.ACTIVE, ModelVersionState.CANDIDATE):
        if known := by_name(session, shipped.name):
            return known
        if state == ModelVersionState.ACTIVE and find_active(session) is not None:
            continue
        try:
            with session.begin_nested():
                version = ModelVersion(
                    name=shipped.name,
                    kind=shipped.kind,
                    state=state,
                    weights_sha256=shipped.weights_sha256,
                    config=shipped.config,
                    metrics=shipped.metrics,
                    threshold=shipped.threshold,
                    note=shipped.note,
                )
                session.add(version)
        except IntegrityError:
            continue
        announce(session, ModelVersion.TOPIC, version.id, {"state": str(version.state)})
        return version
    return session.scalars(select(ModelVersion).where(ModelVersion.name == shipped.name)).one()


def by_name(session: Session, name: str) -> ModelVersion | None:
    return session.scalar(select(ModelVersion).where(ModelVersion.name == name))


def begin_training(
    session: Session,
    *,
    preset: str,
    parent_id: str,
    snapshot_sha256: str,
    config: dict[str, Any],
) -> ModelVersion:
    """Add the version that a round trains. Rounds are one at a time, so numbers don't collide."""
    # what the product brings is no round's
    trained = session.scalar(
        select(func.count()).select_from(ModelVersion).where(ModelVersion.parent_id.is_not(None))
    )
    version = ModelVersion(
        name=f"{preset}-{(trained or 0) + 1:04d}",
        kind=ModelKind.EUGMT,
        parent_id=parent_id,
        snapshot_sha256=snapshot_sha256,
        config=config,
    )
    session.add(version)
    session.flush()
    announce(session, ModelVersion.TOPIC, version.id, {"state": str(version.state)})
    return version


def finish_training(
    session: Session,
    model_version_id: str,
    *,
    weights_sha256: str,
    threshold: float,
    metrics: dict[str, Any],
    config: dict[str, Any],
) -> None:
    """Make a trained version a candidate: from here on it has weights and metrics, for ever.

    threshold: the one that the weights carry. `config` says how they came about; it adds to what
    was known at the start.
    """
    move_or_conflict(
        session,
        ModelVersion,
        model_version_id,
        ModelVersionState.CANDIDATE,
        "Only a version in training becomes a candidate.",
        weights_sha256=weights_sha256,
        threshold=threshold,
        metrics=metrics,
        config={**get(session, model_version_id).config, **config},
    )


def ranges_of(session: Session, model_version_id: str, weights_sha256: str) -> str | None:
    """Return the sha256 of the ranges that were frozen with a version's weights, if they were."""
    known = get(session, model_version_id).config.get(EIGHT_BITS, {})
    return known.get("ranges_sha256") if known.get("weights_sha256") == weights_sha256 else None


def freeze_ranges(
    session: Session,
    model_version_id: str,
    *,
    weights_sha256: str,
    ranges_sha256: str,
    costs: dict[str, Any],
) -> str:
    """Keep the ranges that a version predicts with in eight bits, and what those cost.

    Of two workers' the first ones stay, so that every mask is made with the same. Returns the
    sha256 of those that count.
    """
    version = session.get_one(ModelVersion, model_version_id, with_for_update=True)
    session.refresh(version)
    if known := ranges_of(session, model_version_id, weights_sha256):
        return known
    frozen = {"weights_sha256": weights_sha256, "ranges_sha256": ranges_sha256, "costs": costs}
    version.config = {**version.config, EIGHT_BITS: frozen}
    return ranges_sha256


def give_up_training(session: Session, model_version_id: str, reason: str) -> None:
    """Mark a version whose training ended early; one that is finished stays as it is."""
    move(session, ModelVersion, model_version_id, ModelVersionState.FAILED, note=reason)


def activate(
    session: Session, settings: Settings, model_version_id: str, *, by: User
) -> ModelVersion:
    """Make a version active on a person's word, forward or back."""
    version = get(session, model_version_id)
    if version.state == ModelVersionState.ACTIVE:
        return version
    old = active(session)
    switch(session, settings, version, requested_by=by.id)
    audit.record(
        session,
        by,
        "model_version.activated",
        "model_version",
        version.id,
        name=version.name,
        instead_of=old.name,
    )
    return version


def switch(
    session: Session, settings: Settings, version: ModelVersion, *, requested_by: str | None
) -> None:
    """Make a version active; what rests on the active one follows."""
    make_active(session, version)
    tell(session, settings, ModelActivated(version.id, requested_by))


def make_active(session: Session, version: ModelVersion) -> None:
    """Point at another version: the old one retires first, for only one can be active."""
    if version.state == ModelVersionState.ACTIVE:
        return
    if version.state not in (ModelVersionState.CANDIDATE, ModelVersionState.RETIRED):
        raise NotActivatable(
            f"{version.name} is {version.state}: only a trained version can become active."
        )
    old = active(session)
    if not move(session, ModelVersion, old.id, ModelVersionState.RETIRED):
        raise ActiveModelChanged("Somebody else made another version active; look again.")
    move_or_conflict(
        session,
        ModelVersion,
        version.id,
        ModelVersionState.ACTIVE,
        f"Somebody else changed {version.name} meanwhile; look again.",
    )
    session.refresh(old)
    session.refresh(version)
