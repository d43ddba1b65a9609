"""How annotation goes, over HTTP: figures by reader, round, slide and mode, and as a table."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime

from backend.kit.db.session import Database
from backend.kit.dependencies import CurrentDatabase
from backend.kit.downloads import disposition
from backend.kit.errors import Unprocessable
from backend.learning.statistics import service
from backend.learning.statistics.figures import COLUMNS
from backend.learning.statistics.schemas import AnnotationStatistics
from backend.learning.statistics.service import Group, Statistics, Window
from backend.people.audit import service as audit
from backend.people.users.guards import Viewer
from backend.people.users.tables import Role, User
from backend.slides.catalogue import service as slides

router = APIRouter(prefix="/statistics", tags=["learning"])
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run, if a slide's name began with it."""


Since = Annotated[AwareDatetime | None, Query(description="Saved at this time or later.")]
Until = Annotated[AwareDatetime | None, Query(description="Saved before this time.")]


@router.get("/annotation")
def read_statistics(
    database: CurrentDatabase,
    user: Viewer,
    slide_id: str | None = None,
    since: Since = None,
    until: Until = None,
) -> AnnotationStatistics:
    """Show minutes per patch, acceptance, what was edited and what overridden.

    Of readers, administrators see everybody, others themselves.
    """
    statistics = visible(database, user, Window(slide_id, since, until))
    audit.record_view(database, user, "statistics.viewed", "statistics", "annotation")
    return AnnotationStatistics.of(statistics)


@router.get(
    "/annotation.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
def download_statistics(
    database: CurrentDatabase,
    user: Viewer,
    slide_id: str | None = None,
    since: Since = None,
    until: Until = None,
) -> Response:
    """Return the same as a table: a row for all, then for each reader, round, slide and mode."""
    statistics = visible(database, user, Window(slide_id, since, until))
    audit.record_download(database, user, "statistics.downloaded", "statistics", "annotation")
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["group", "id", "name", *COLUMNS])
    writer.writerows(rows_of(statistics))
    headers = {"Content-Disposition": disposition("annotation_statistics.csv")}
    return Response(file.getvalue().encode(), media_type="text/csv", headers=headers)


def visible(database: Database, user: User, window: Window) -> Statistics:
    """Return the figures that a person may see."""
    if window.since and window.until and window.since >= window.until:
        raise Unprocessable("`since` must be before `until`.")
    with database.reading() as session:
        if window.slide_id is not None:
            slides.get(session, window.slide_id)
        statistics = service.of_work(session, window)
    return statistics if user.role == Role.ADMIN else service.of_reader(statistics, user.id)


def rows_of(statistics: Statistics) -> Iterator[list[object]]:
    groups = (
        ("all", [Group(None, "", statistics.overall)]),
        ("reader", statistics.readers),
        ("round", statistics.rounds),
        ("slide", statistics.slides),
        ("mode", statistics.modes),
    )
    for kind, some in groups:
        for group in some:
            figures = [getattr(group.sums, name) for name in COLUMNS]
            yield [kind, group.id or "", as_text(group.name), *figures]


def as_text(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(FORMULA) else name
