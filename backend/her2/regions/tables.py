"""Regions of a slide: each change writes the whole set anew as the next immutable revision."""

from enum import StrEnum
from typing import ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.kit.db.base import Base, Identified
from backend.people.users.tables import User


class RegionKind(StrEnum):
    """What lies inside: invasive tumour to score, or what is left out of it."""

    TUMOUR = "tumour"
    EXCLUDE = "exclude"
    ARTEFACT = "artefact"


class RegionSet(Identified, Base):
    __tablename__ = "region_sets"
    TOPIC: ClassVar[str] = "regions"
    __table_args__ = (
        UniqueConstraint("slide_id", "revision"),
        CheckConstraint("revision = base_revision + 1", name="follows_its_base"),
        CheckConstraint("region_count >= 0", name="region_count"),
    )

    slide_id: Mapped[str] = mapped_column(ForeignKey("slides.id", ondelete="CASCADE"))
    revision: Mapped[int]
    base_revision: Mapped[int]
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    sha256: Mapped[str] = mapped_column(String(64), doc="Key of the GeoJSON blob.")
    change: Mapped[str] = mapped_column(String(32), doc="added, changed, removed or replaced")
    region_count: Mapped[int]
    author: Mapped[User] = relationship(lazy="joined")
