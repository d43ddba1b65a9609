"""the grid's pixel size is kept, requests are known by their content, the audit trail is held"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from backend.kit.errors import Conflict
from backend.settings import get_settings

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MESSAGE = "the audit trail only grows"
PATCH_PX = 256
NOISE = 1e-4
"""Grids this near are one: a slide this near to the grid is not resampled."""


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_sha256", sa.String(length=64), nullable=True))
    op.create_index("ix_jobs_subject", "jobs", ["kind", "subject"])
    op.create_table(
        "analysis_grid",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mpp", sa.Double(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_analysis_grid_only_one")),
        sa.CheckConstraint("mpp > 0", name=op.f("ck_analysis_grid_mpp")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analysis_grid")),
    )
    if (mpp := grid_in_use()) is not None:
        op.execute(sa.text("INSERT INTO analysis_grid VALUES (1, :mpp)").bindparams(mpp=mpp))
    # a verdict that an expired lease has overwritten: nothing else makes such a row
    op.execute("UPDATE patches SET state = 'returned' WHERE state = 'proposed' AND revision > 0")
    if op.get_bind().dialect.name == "postgresql":
        guard_on_postgresql()
    else:
        guard_on_sqlite()


def grid_in_use() -> float | None:
    """Return the pixel size that the patches lie on; None where there are none yet.

    What the patches say counts, not the setting: that may have been changed since.
    """
    rows: list[Any] = list(
        op.get_bind().execute(
            sa.text(
                "SELECT DISTINCT patches.size0 * slides.mpp / :side FROM patches "
                "JOIN slides ON slides.id = patches.slide_id WHERE slides.mpp IS NOT NULL"
            ).bindparams(side=float(PATCH_PX))
        )
    )
    found = sorted(row[0] for row in rows)
    if not found:
        return None
    if found[-1] / found[0] - 1 > 2 * NOISE:
        listed = ", ".join(sorted({f"{each:.4g}" for each in found}))
        raise Conflict(
            f"The slides of this installation lie on grids of {listed} µm per pixel: "
            "MEMBRANA_ANALYSIS_MPP was changed between them, and masks of one grid do not fit "
            "another. With the version before this one, delete the slides of all but one grid.",
            code="analysis_mpp_mixed",
        )
    wanted = get_settings().analysis_mpp
    if all(abs(each / wanted - 1) <= NOISE for each in found):
        return wanted
    return float(f"{found[0]:.6g}")


def guard_on_sqlite() -> None:
    """Refuse every change; INSERT OR REPLACE deletes without a DELETE, so that it is seen to."""
    there = "WHEN EXISTS (SELECT 1 FROM audit_entries WHERE id = NEW.id)"
    for event, when in (("UPDATE", ""), ("DELETE", ""), ("INSERT", there)):
        op.execute(
            f"CREATE TRIGGER audit_entries_{event.lower()} BEFORE {event} ON audit_entries {when} "
            f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        )


def guard_on_postgresql() -> None:
    op.execute(
        f"""
        CREATE FUNCTION keep_audit_trail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_entries_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_trail()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_entries_kept ON audit_entries")
        op.execute("DROP FUNCTION keep_audit_trail")
    else:
        for event in ("update", "delete", "insert"):
            op.execute(f"DROP TRIGGER audit_entries_{event}")
    op.drop_table("analysis_grid")
    op.drop_index("ix_jobs_subject", "jobs")
    op.drop_column("jobs", "request_sha256")
