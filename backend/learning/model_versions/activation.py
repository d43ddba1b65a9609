"""What follows when another model version becomes active: every slide is predicted again.

Apart from service.py, because predictions ask that one for the active version.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.learning.model_versions import service
from backend.learning.model_versions.tables import ModelVersion, ModelVersionState
from backend.learning.predictions import service as predictions
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.slides.catalogue.tables import Slide, SlideState


def activate(session: Session, model_version_id: str, *, by: User) -> ModelVersion:
    """Make a version active on a person's word, forward or back."""
    version = service.get(session, model_version_id)
    if version.state == ModelVersionState.ACTIVE:
        return version
    old = service.active(session)
    switch(session, version, requested_by=by.id)
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


def switch(session: Session, version: ModelVersion, *, requested_by: str | None) -> None:
    """Make a version active and ask for its predictions; people's masks stay as they are."""
    service.make_active(session, version)
    ready = select(Slide.id).where(Slide.state == SlideState.READY).order_by(Slide.id)
    predictions.request_all(
        session, session.scalars(ready).all(), version, requested_by=requested_by
    )
