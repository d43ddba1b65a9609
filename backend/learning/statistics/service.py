"""How people's masks came about, counted: time, acceptance, what was edited, what was overridden.

Of each patch and person the newest mask counts, and the time of all. A mask that was brought back
drew nothing: its time counts, and the mask before it.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.kit.facts import ask
from backend.learning.annotations.tables import Annotation, AnnotationProposal, Source
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.rounds.tables import Round
from backend.learning.statistics.facts import ReportsSigned
from backend.learning.statistics.figures import Sums
from backend.people.users import service as users
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch

K = TypeVar("K", bound=Hashable)


class Mode(StrEnum):
    """Assisted: begun from a model's proposal. Manual: from an empty mask, or before any model."""

    ASSISTED = "assisted"
    MANUAL = "manual"


@dataclass(frozen=True)
class Window:
    """Whose work is counted: of one slide or all, saved in [since, until)."""

    slide_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Cell:
    """The masks that one person made on one slide from one model version's proposals."""

    reader_id: str
    slide_id: str
    model_version_id: str | None
    mode: Mode
    sums: Sums


@dataclass(frozen=True)
class Group:
    """id: of the reader, slide or round; None: work without a round's model."""

    id: str | None
    name: str
    sums: Sums


@dataclass(frozen=True)
class Statistics:
    overall: Sums
    readers: Sequence[Group]
    rounds: Sequence[Group]
    slides: Sequence[Group]
    modes: Sequence[Group]


def of_work(session: Session, window: Window) -> Statistics:
    """Return the figures of a window by reader, round, slide and mode; most patches first."""
    cells = counted(session, window)
    readers = by(cells, lambda cell: cell.reader_id)
    slides = by(cells, lambda cell: cell.slide_id)
    overall = sum((cell.sums for cell in cells), Sums())
    asked = ReportsSigned(window.slide_id, window.since, window.until)
    for each in (row for rows in ask(session, asked) for row in rows):
        reports = Sums(signed=each.signed, category_overridden=each.overridden)
        overall += reports
        readers[each.signer_id] = readers.get(each.signer_id, Sums()) + reports
        slides[each.slide_id] = slides.get(each.slide_id, Sums()) + reports
    return Statistics(
        overall,
        named(readers, users.names(session, readers)),
        by_round(session, by(cells, lambda cell: cell.model_version_id)),
        named(slides, names_of_slides(session, slides)),
        [Group(None, mode, sums) for mode, sums in sorted(by(cells, lambda c: c.mode).items())],
    )


def counted(session: Session, window: Window) -> list[Cell]:
    """Return one row for each person, slide, model version and mode."""
    newest = newest_masks(window).subquery()
    # strokes that reach into a neighbour took time there, and decided nothing on it yet
    whole = newest.c.unseen_px == 0
    assisted = and_(newest.c.model_version_id.is_not(None), newest.c.source != Source.SCRATCH)
    compared = and_(whole, assisted, AnnotationProposal.annotation_id.is_not(None))
    mode = case((assisted, Mode.ASSISTED.value), else_=Mode.MANUAL.value)

    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    def pixels(column: InstrumentedAttribute[int] | ColumnElement[int]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((compared, column), else_=0)), 0)

    rows = session.execute(
        select(
            newest.c.author_id,
            newest.c.slide_id,
            newest.c.model_version_id,
            mode.label("mode"),
            count(whole).label("patches"),
            count(~whole).label("painted_in_part"),
            func.sum(newest.c.revisions).label("revisions"),
            func.coalesce(func.sum(newest.c.seconds), 0.0).label("seconds"),
            count(and_(whole, newest.c.seconds.is_not(None))).label("timed"),
            count(and_(whole, assisted)).label("assisted"),
            count(and_(whole, assisted, newest.c.source == Source.PROPOSAL)).label("accepted"),
            count(compared).label("compared"),
            count(
                and_(compared, 2 * AnnotationProposal.differing_px > AnnotationProposal.membrane_px)
            ).label("overridden"),
            pixels(AnnotationProposal.differing_px).label("differing_px"),
            pixels(AnnotationProposal.membrane_px).label("membrane_px"),
        )
        .outerjoin(
            AnnotationProposal,
            and_(
                AnnotationProposal.annotation_id == newest.c.id,
                AnnotationProposal.model_version_id == newest.c.model_version_id,
            ),
        )
        .where(newest.c.place == 1)
        .group_by(newest.c.author_id, newest.c.slide_id, newest.c.model_version_id, mode)
    )
    return [
        Cell(
            row.author_id,
            row.slide_id,
            row.model_version_id,
            Mode(row.mode),
            Sums(**{name: getattr(row, name) for name in SUMMED}, seconds=float(row.seconds)),
        )
        for row in rows
    ]


SUMMED = (
    *("patches", "painted_in_part", "revisions", "timed", "assisted", "accepted", "compared"),
    *("overridden", "differing_px", "membrane_px"),
)


def newest_masks(window: Window) -> Select[*tuple[object, ...]]:
    """Select masks with their place among those of the patch and person, the newest drawn first."""
    own = (Annotation.patch_id, Annotation.author_id)
    statement = select(
        Annotation.id,
        Annotation.author_id,
        Annotation.model_version_id,
        Annotation.source,
        Annotation.unseen_px,
        Patch.slide_id,
        func.row_number()
        .over(
            partition_by=own,
            order_by=(Annotation.restores.is_(None).desc(), Annotation.revision.desc()),
        )
        .label("place"),
        func.count().over(partition_by=own).label("revisions"),
        func.sum(Annotation.seconds_spent).over(partition_by=own).label("seconds"),
    ).join(Patch, Patch.id == Annotation.patch_id)
    if window.slide_id is not None:
        statement = statement.where(Patch.slide_id == window.slide_id)
    if window.since is not None:
        statement = statement.where(Annotation.created_at >= window.since)
    if window.until is not None:
        statement = statement.where(Annotation.created_at < window.until)
    return statement


def by(cells: Sequence[Cell], key: Callable[[Cell], K]) -> dict[K, Sums]:
    sums: dict[K, Sums] = defaultdict(Sums)
    for cell in cells:
        sums[key(cell)] += cell.sums
    return dict(sums)


def named(sums: Mapping[str, Sums], names: Mapping[str, str]) -> list[Group]:
    groups = [Group(each, names.get(each, ""), sums[each]) for each in sums]
    return sorted(groups, key=lambda group: (-group.sums.patches, group.name, group.id or ""))


def names_of_slides(session: Session, slide_ids: Mapping[str, Sums]) -> dict[str, str]:
    rows = session.execute(select(Slide.id, Slide.name).where(Slide.id.in_(list(slide_ids))))
    return {slide_id: name for slide_id, name in rows}  # noqa: C416 - rows are no pairs


def by_round(session: Session, sums: Mapping[str | None, Sums]) -> list[Group]:
    """Return the learning curve: work by whose proposals it began from, oldest model first.

    A model that no round has made, as the one that an installation begins with, has no round's id.
    """
    groups = [Group(None, "no proposal", sums[None])] if None in sums else []
    rows = session.execute(
        select(ModelVersion.id, ModelVersion.name, Round.id.label("round_id"))
        .outerjoin(Round, Round.model_version_id == ModelVersion.id)
        .where(ModelVersion.id.in_([each for each in sums if each is not None]))
        .order_by(ModelVersion.id)
    )
    return groups + [Group(row.round_id, row.name, sums[row.id]) for row in rows]


def of_reader(statistics: Statistics, reader_id: str) -> Statistics:
    """Return the same with no other reader's figures than one's own."""
    own = [group for group in statistics.readers if group.id == reader_id]
    return replace(statistics, readers=own)
