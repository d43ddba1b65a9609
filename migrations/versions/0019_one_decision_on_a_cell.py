"""one decision on a cell: those of drafts become the slide's, what is signed keeps its own

Which nucleus a draft's decision was about is read from the draft's measured cells. Where their file
is lost the decisions stay with the draft alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op
from uuid_utils import uuid7

from backend.kit.storage.blobs import Blobs
from backend.settings import get_settings

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

signed_reports = import_module("migrations.versions.0008_signed_reports")
first_reports = import_module("migrations.versions.0005_reports")
FINAL = ("signed", "superseded")
TIME = sa.DateTime(timezone=True)
Nuclei = tuple[list[float], list[float]]
"""x and y of each cell, level-0 px."""

users = sa.table("users", sa.column("id"), sa.column("name"))
reports = sa.table(
    "reports",
    *(sa.column(name) for name in ("id", "slide_id", "state", "edit_count")),
    sa.column("files", sa.JSON),
    sa.column("frozen_edits", sa.JSON(none_as_null=True)),
)
EDIT = ("number", "cell", "action", "label", "measured", "author_id", "reason", "id")
edits = sa.table(
    "report_cell_edits",
    sa.column("report_id"),
    *(sa.column(name) for name in EDIT),
    sa.column("created_at", TIME),
)
decisions = sa.table(
    "cell_decisions",
    *(sa.column(name) for name in ("slide_id", "report_id", "x", "y", *EDIT)),
    sa.column("created_at", TIME),
)
scores = sa.table(
    "slide_scores", *(sa.column(name) for name in ("slide_id", "state", "wanted", "job_id"))
)
jobs = sa.table(
    "jobs",
    *(sa.column(name) for name in ("id", "kind", "subject", "state", "progress", "message")),
    *(sa.column(name) for name in ("attempts", "max_attempts", "cancel_requested")),
    sa.column("params", sa.JSON),
    sa.column("created_at", TIME),
)


def upgrade() -> None:
    with op.batch_alter_table("cell_decisions") as batch:
        batch.add_column(sa.Column("report_id", sa.String(36), nullable=True))
        batch.add_column(sa.Column("cell", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("measured", sa.String(2), nullable=True))
        batch.create_foreign_key(
            op.f("fk_cell_decisions_report_id"),
            "reports",
            ["report_id"],
            ["id"],
            ondelete="CASCADE",
        )
        batch.create_check_constraint(
            op.f("ck_cell_decisions_cell_of_a_report"),
            "(report_id IS NULL) = (cell IS NULL) AND (cell IS NULL) = (measured IS NULL)",
        )
        batch.create_check_constraint(op.f("ck_cell_decisions_cell"), "cell >= 0")
        batch.create_index("ix_cell_decisions_report_id", ["report_id"])
    op.add_column("reports", sa.Column("frozen_edits", sa.JSON(), nullable=True))
    with guards_open():
        move_edits()
        op.drop_table("report_cell_edits")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION keep_edits_of_signed_reports")


@contextmanager
def guards_open() -> Iterator[None]:
    """Let signed rows take the new column's value, and hold them again with the column."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute("ALTER TABLE reports DISABLE TRIGGER reports_signed")
    else:
        signed_reports.forget_guards()
    yield
    if postgresql:
        op.execute("ALTER TABLE reports ENABLE TRIGGER reports_signed")
    else:
        signed_reports.guard_reports_on_sqlite()


def move_edits() -> None:
    """Freeze what is signed in its row, and write all other edits down as the slides' decisions."""
    connection = op.get_bind()
    by_report: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    rows = connection.execute(
        sa.select(edits, users.c.name.label("author"))
        .join(users, users.c.id == edits.c.author_id)
        .order_by(edits.c.report_id, edits.c.number)
    )
    for row in rows.mappings():
        by_report[row["report_id"]].append(row)
    of_slides: dict[str, list[dict[str, Any]]] = defaultdict(list)
    every = sa.select(reports.c.id, reports.c.slide_id, reports.c.state, reports.c.files)
    for report in connection.execute(every).all():
        own = by_report.get(report.id, [])
        nuclei = None if report.state in FINAL or not own else nuclei_of(report.files)
        if report.state in FINAL or (own and not placeable(own, nuclei)):
            connection.execute(
                reports.update()
                .where(reports.c.id == report.id)
                .values(frozen_edits=[frozen(each) for each in own])
            )
        elif nuclei is not None:
            of_slides[report.slide_id] += placed(own, nuclei)
    for slide_id, found in of_slides.items():
        add_decisions(slide_id, found)
        follow(slide_id)


def nuclei_of(files: Mapping[str, str]) -> Nuclei | None:
    """Read where a report's cells lie; None where that is lost."""
    path = Blobs(get_settings().blob_folder).path(files.get("measured", "-"))
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as columns:
            return columns["x"].tolist(), columns["y"].tolist()
    except (OSError, ValueError, KeyError, EOFError):
        return None


def placeable(own: Iterable[Mapping[str, Any]], nuclei: Nuclei | None) -> bool:
    return nuclei is not None and all(each["cell"] < len(nuclei[0]) for each in own)


def frozen(edit: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decision as a report's row keeps it: as signatures bind it, and by whom."""
    return {
        "number": edit["number"],
        "cell": edit["cell"],
        "action": edit["action"],
        "class": edit["label"],
        "measured": edit["measured"],
        "by": {"id": edit["author_id"], "name": edit["author"]},
        "at": utc(edit["created_at"]).isoformat(),
        "reason": edit["reason"],
    }


def utc(moment: datetime) -> datetime:
    """SQLite keeps no zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def placed(own: Iterable[Mapping[str, Any]], nuclei: Nuclei) -> list[dict[str, Any]]:
    """Return a draft's decisions with the nuclei that they were about."""
    x, y = nuclei
    return [
        {
            "report_id": each["report_id"],
            "x": x[each["cell"]],
            "y": y[each["cell"]],
            "created_at": each["created_at"],
            **{name: each[name] for name in EDIT},
        }
        for each in own
    ]


def add_decisions(slide_id: str, found: list[dict[str, Any]]) -> None:
    """Give decisions the slide's next numbers; of two on one nucleus the later in time counts."""
    connection = op.get_bind()
    most = connection.scalar(
        sa.select(sa.func.max(decisions.c.number)).where(decisions.c.slide_id == slide_id)
    )
    # a draft's own order goes before what a clock has said
    newest: dict[str, datetime] = {}
    for each in found:
        before = newest.get(each["report_id"], each["created_at"])
        newest[each["report_id"]] = each["since"] = max(before, each["created_at"])
    found.sort(key=lambda each: (each["since"], each["report_id"], each["number"]))
    for number, each in enumerate(found, (most or 0) + 1):
        values = {name: value for name, value in each.items() if name != "since"}
        connection.execute(
            decisions.insert().values(values | {"slide_id": slide_id, "number": number})
        )


def follow(slide_id: str) -> None:
    """Have a live score computed with them; the reaper rings for a job that nobody rang."""
    connection = op.get_bind()
    if not connection.scalar(sa.select(scores.c.wanted).where(scores.c.slide_id == slide_id)):
        return
    active = ("queued", "running")
    job_id = connection.scalar(
        sa.select(jobs.c.id).where(
            jobs.c.kind == "score", jobs.c.subject == slide_id, jobs.c.state.in_(active)
        )
    )
    if job_id is None:
        job_id = str(uuid7())
        connection.execute(
            jobs.insert().values(
                id=job_id,
                kind="score",
                subject=slide_id,
                state="queued",
                params={},
                progress=0.0,
                message="",
                attempts=0,
                max_attempts=get_settings().max_attempts,
                cancel_requested=False,
                created_at=datetime.now(UTC),
            )
        )
    connection.execute(
        scores.update()
        .where(scores.c.slide_id == slide_id)
        .values(state="computing", wanted=scores.c.wanted + 1, job_id=job_id)
    )


def downgrade() -> None:
    """Give reports their own decisions back; those of drafts are the slides' no more."""
    connection = op.get_bind()
    first_reports.make_edits()
    kept = [
        each
        for report in connection.execute(sa.select(reports.c.id, reports.c.frozen_edits)).all()
        for each in thawed(report.id, report.frozen_edits or [])
    ]
    rows = connection.execute(
        sa.select(decisions)
        .where(decisions.c.report_id.is_not(None))
        .order_by(decisions.c.report_id, decisions.c.number)
    ).mappings()
    numbers: dict[str, int] = defaultdict(int)
    froze = {each["report_id"] for each in kept}
    for row in rows:
        if row["report_id"] not in froze:
            numbers[row["report_id"]] += 1
            values = {name: row[name] for name in (*EDIT, "report_id", "created_at")}
            kept.append(values | {"number": numbers[row["report_id"]]})
    if kept:
        connection.execute(edits.insert(), kept)
    connection.execute(decisions.delete().where(decisions.c.report_id.is_not(None)))
    if connection.dialect.name == "sqlite":
        signed_reports.forget_guards()
    op.drop_column("reports", "frozen_edits")
    with op.batch_alter_table("cell_decisions") as batch:
        batch.drop_index("ix_cell_decisions_report_id")
        batch.drop_constraint(op.f("ck_cell_decisions_cell_of_a_report"), type_="check")
        batch.drop_constraint(op.f("ck_cell_decisions_cell"), type_="check")
        batch.drop_constraint(op.f("fk_cell_decisions_report_id"), type_="foreignkey")
        for name in ("report_id", "cell", "measured"):
            batch.drop_column(name)
    if connection.dialect.name == "sqlite":
        first_reports.guard_edits_on_sqlite()
        signed_reports.guard()
    else:
        first_reports.guard_edits_on_postgresql()
        signed_reports.guard()
        signed_reports.guard_table_from_truncate("report_cell_edits")


def thawed(report_id: str, own: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for each in own:
        yield {
            "report_id": report_id,
            "id": str(uuid7()),
            "number": each["number"],
            "cell": each["cell"],
            "action": each["action"],
            "label": each["class"],
            "measured": each["measured"],
            "author_id": each["by"]["id"],
            "reason": each["reason"],
            "created_at": datetime.fromisoformat(each["at"]),
        }
