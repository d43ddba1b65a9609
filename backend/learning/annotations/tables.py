"""Annotations: a person's masks, immutable revisions, never written by a model."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.kit.db.base import Base, EnumText, Identified, one_of
from backend.people.users.tables import User


class Source(StrEnum):
    """Where a person began: the proposal as it was, the proposal corrected, or an empty mask."""

    PROPOSAL = "proposal"
    EDITED = "edited"
    SCRATCH = "scratch"


class Annotation(Identified, Base):
    __tablename__ = "annotations"
    __table_args__ = (
        one_of("source", Source),
        UniqueConstraint("patch_id", "revision"),
        CheckConstraint("revision = base_revision + 1", name="follows_its_base"),
        CheckConstraint("unseen_px >= 0", name="unseen_px"),
        CheckConstraint("seconds_spent IS NULL OR seconds_spent >= 0", name="seconds_spent"),
    )

    patch_id: Mapped[str] = mapped_column(ForeignKey("patches.id", ondelete="CASCADE"))
    revision: Mapped[int]
    base_revision: Mapped[int]
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    mask_sha256: Mapped[str] = mapped_column(String(64), doc="Key of the PNG blob.")
    source: Mapped[Source] = mapped_column(EnumText(Source))
    seconds_spent: Mapped[float | None]
    model_version_id: Mapped[str | None] = mapped_column(
        ForeignKey("model_versions.id"), doc="Whose proposal the person saw."
    )
    unseen_px: Mapped[int] = mapped_column(
        default=0, server_default="0", doc="Pixels of the mask that nobody has looked at."
    )
    restores: Mapped[int | None] = mapped_column(
        doc="The earlier revision of the patch whose mask this is again; None: it was drawn."
    )
    author: Mapped[User] = relationship(lazy="raise")


class AnnotationProposal(Base):
    """How far a mask is from what a model version had proposed of the patch when it was saved.

    A version without a row had proposed nothing there yet: the mask was drawn blind to it.
    """

    __tablename__ = "annotation_proposals"
    __table_args__ = (
        CheckConstraint("0 <= differing_px AND differing_px <= membrane_px", name="differing_px"),
    )

    annotation_id: Mapped[str] = mapped_column(
        ForeignKey("annotations.id", ondelete="CASCADE"), primary_key=True
    )
    model_version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    differing_px: Mapped[int] = mapped_column(doc="Membrane in one of the two only.")
    membrane_px: Mapped[int] = mapped_column(doc="Membrane in either; ignored pixels left out.")
