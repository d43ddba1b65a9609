"""A second person's verdict on an annotation."""

from enum import StrEnum

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, one_of


class Verdict(StrEnum):
    APPROVED = "approved"
    RETURNED = "returned"


class Review(Identified, Base):
    __tablename__ = "reviews"
    __table_args__ = (one_of("verdict", Verdict),)

    annotation_id: Mapped[str] = mapped_column(ForeignKey("annotations.id", ondelete="CASCADE"))
    reviewer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    verdict: Mapped[Verdict] = mapped_column(EnumText(Verdict))
    comment: Mapped[str] = mapped_column(Text, default="")
