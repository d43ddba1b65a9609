"""imports of masks are jobs, and a job keeps its result"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

KINDS = (
    *("ingest", "predict", "predict_viewport", "train", "audit_labels", "report"),
    *("verify_report", "score", "export", "cleanup"),
)


def upgrade() -> None:
    hold_job_kinds_to((*KINDS[:-1], "import", KINDS[-1]))
    op.add_column("jobs", sa.Column("result", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "result")
    op.execute("DELETE FROM jobs WHERE kind = 'import'")
    hold_job_kinds_to(KINDS)


def hold_job_kinds_to(kinds: tuple[str, ...]) -> None:
    """Change the words of a CHECK; SQLite copies the table for it."""
    words = ", ".join(f"'{word}'" for word in kinds)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(op.f("ck_jobs_kind"), f"kind IN ({words})")
