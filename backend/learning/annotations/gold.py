"""The gold policy: which annotations judge models and are never trained on.

A role is fixed at a patch's first annotation, for ever. New slides say more than new patches of
known slides, so whole slides are held out as soon as there are three; until then single patches.
"""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide, Split
from backend.slides.patches import service as patches
from backend.slides.patches.tables import Patch, PatchRole

EVERY = 5
GOLD_PATCH = 2
"""Of every five newly annotated patches of mixed slides, the third is gold."""
GOLD_SLIDE = 2
"""The third annotated slide is gold, then every fifth: 3rd, 8th, 13th, …"""
MIXED_SLIDES = 2
LOCK = 0x6D656D62
"""Key of the lock that makes counting and assigning one step on PostgreSQL."""


def assign(session: Session, patch: Patch, slide: Slide) -> PatchRole:
    """Fix the role of a patch that is annotated for the first time, and its slide's split."""
    count_alone(session)
    session.refresh(slide, ["split"])
    if slide.split is None:
        slides.fix_split(slide, split_of(annotated_slides(session)))
    if slide.split == Split.MIXED:
        role = role_of_mixed(session)
    else:
        role = PatchRole.GOLD if slide.split == Split.GOLD else PatchRole.TRAINING
    patches.fix_role(session, patch, role)
    return role


def split_of(before: int) -> Split:
    """Return the split of a slide when `before` others were annotated before it."""
    if before < MIXED_SLIDES:
        return Split.MIXED
    return Split.GOLD if before % EVERY == GOLD_SLIDE else Split.TRAINING


def role_of_mixed(session: Session) -> PatchRole:
    """Return the role of the next patch of a mixed slide; once a slide is gold, all train."""
    if session.scalar(select(Slide.id).where(Slide.split == Split.GOLD).limit(1)):
        return PatchRole.TRAINING
    index = session.scalar(
        select(func.count())
        .select_from(Patch)
        .join(Slide, Patch.slide_id == Slide.id)
        .where(Slide.split == Split.MIXED, Patch.role.is_not(None))
    )
    return PatchRole.GOLD if (index or 0) % EVERY == GOLD_PATCH else PatchRole.TRAINING


def annotated_slides(session: Session) -> int:
    statement = select(func.count()).select_from(Slide).where(Slide.split.is_not(None))
    return session.scalar(statement) or 0


def count_alone(session: Session) -> None:
    """Make two first annotations at once count one after the other.

    SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
