"""Slides: one row a file, known by its sha256."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.kit.db.base import Base, EnumText, Identified, one_of


class SlideState(StrEnum):
    UPLOADED = "uploaded"
    INGESTING = "ingesting"
    NEEDS_MPP = "needs_mpp"
    READY = "ready"
    FAILED = "failed"
    ARCHIVED = "archived"


class Split(StrEnum):
    """Which side of the held-out line a slide stands on; decided once, at its first annotation.

    `mixed`: no slide could be held out yet, so single patches of it are.
    """

    MIXED = "mixed"
    TRAINING = "training"
    GOLD = "gold"


class Slide(Identified, Base):
    __tablename__ = "slides"
    TOPIC: ClassVar[str] = "slide"
    ANNOUNCED: ClassVar[tuple[str, ...]] = ()
    TRANSITIONS: ClassVar[Mapping[StrEnum, frozenset[StrEnum]]] = {
        SlideState.UPLOADED: frozenset({SlideState.INGESTING, SlideState.FAILED}),
        SlideState.INGESTING: frozenset(
            {SlideState.READY, SlideState.NEEDS_MPP, SlideState.FAILED}
        ),
        SlideState.NEEDS_MPP: frozenset({SlideState.INGESTING}),
        SlideState.FAILED: frozenset({SlideState.INGESTING}),
        SlideState.READY: frozenset({SlideState.ARCHIVED, SlideState.INGESTING}),
        SlideState.ARCHIVED: frozenset({SlideState.READY}),
    }
    __table_args__ = (
        one_of("state", SlideState),
        one_of("split", Split),
        CheckConstraint(
            "state NOT IN ('ready', 'archived') OR "
            "(width IS NOT NULL AND height IS NOT NULL AND mpp IS NOT NULL)",
            name="ready_is_measured",
        ),
        CheckConstraint("mpp IS NULL OR (mpp > 0.01 AND mpp < 100)", name="mpp"),
        Index("ix_slides_case_id", "case_id"),
    )

    state: Mapped[SlideState] = mapped_column(EnumText(SlideState), default=SlideState.UPLOADED)
    name: Mapped[str] = mapped_column(String(255), doc="The file's name as uploaded; never logged.")
    sha256: Mapped[str] = mapped_column(String(64), unique=True, doc="Also the blob's key.")
    byte_size: Mapped[int] = mapped_column(BigInteger)
    stain: Mapped[str] = mapped_column(String(64), default="HER2")
    case_id: Mapped[str | None] = mapped_column(String(100))
    block: Mapped[str | None] = mapped_column(String(100), doc="Paraffin block of the case.")
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    synthetic: Mapped[bool] = mapped_column(default=False)

    counts_from_bounds: Mapped[bool] = mapped_column(
        default=True,
        doc="Coordinates count from the scanned part's corner (bounds.py); in rows that were "
        "measured before 0011, from the canvas'.",
    )
    colours_are_srgb: Mapped[bool] = mapped_column(
        default=True,
        doc="Pixels are read by the file's colour profile (colour.py); in rows that were measured "
        "before 0017, as stored: what was computed on them stays reproducible.",
    )
    damaged_tiles: Mapped[list[list[int]]] = mapped_column(
        default=list, doc="[level, x, y, width, height] of tiles that are not read (damage.py)."
    )
    vendor: Mapped[str | None] = mapped_column(String(64))
    width: Mapped[int | None]
    height: Mapped[int | None]
    mpp: Mapped[float | None]
    mpp_source: Mapped[str | None] = mapped_column(String(16), doc="file or person")
    objective_power: Mapped[float | None]
    derived_key: Mapped[str | None] = mapped_column(
        String(255), doc="File under the slide folder that is read instead of the blob."
    )
    white_point: Mapped[list[float] | None] = mapped_column(doc="RGB of bare glass, 0-255.")
    tissue_fraction: Mapped[float | None]
    patch_count: Mapped[int] = mapped_column(default=0)
    qc: Mapped[list[str]] = mapped_column(default=list)
    problem: Mapped[dict[str, Any] | None]
    split: Mapped[Split | None] = mapped_column(EnumText(Split))
