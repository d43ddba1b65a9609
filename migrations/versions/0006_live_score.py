"""the live score of a slide, decisions on its cells, and the kind of job that computes it"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KINDS = (
    *("ingest", "predict", "predict_viewport", "train", "audit_labels", "report"),
    *("verify_report", "cleanup"),
)


def text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def upgrade() -> None:
    hold_job_kinds_to((*KINDS[:-1], "score", KINDS[-1]))
    op.create_table(
        "slide_scores",
        text("slide_id", 36),
        text("state", 32),
        text("protocol", 64),
        text("gap", 8, nullable=True),
        sa.Column("thresholds", sa.JSON(), nullable=True),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("computed", sa.Integer(), nullable=False),
        text("job_id", 36, nullable=True),
        sa.Column("inputs", sa.JSON(), nullable=True),
        sa.Column("files", sa.JSON(), nullable=False),
        text("score", 32, nullable=True),
        text("printed_score", 64, nullable=True),
        text("previous_score", 64, nullable=True),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        text("id", 36),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('computing', 'current', 'failed')", name=op.f("ck_slide_scores_state")
        ),
        sa.CheckConstraint("computed <= wanted", name=op.f("ck_slide_scores_follows")),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slides.id"], name=op.f("fk_slide_scores_slide_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_slide_scores_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slide_scores")),
        sa.UniqueConstraint("slide_id", name=op.f("uq_slide_scores_slide_id")),
    )
    op.create_table(
        "cell_decisions",
        text("slide_id", 36),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        text("action", 32),
        text("label", 2, nullable=True),
        text("author_id", 36),
        sa.Column("reason", sa.Text(), nullable=False),
        text("id", 36),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "action IN ('exclude', 'include', 'class')", name=op.f("ck_cell_decisions_action")
        ),
        sa.CheckConstraint(
            "(action = 'class') = (label IS NOT NULL)",
            name=op.f("ck_cell_decisions_class_is_named"),
        ),
        sa.ForeignKeyConstraint(
            ["slide_id"],
            ["slides.id"],
            name=op.f("fk_cell_decisions_slide_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_cell_decisions_author_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cell_decisions")),
        sa.UniqueConstraint("slide_id", "number", name=op.f("uq_cell_decisions_slide_id_number")),
    )


def downgrade() -> None:
    op.drop_table("cell_decisions")
    op.drop_table("slide_scores")
    op.execute("DELETE FROM jobs WHERE kind = 'score'")
    hold_job_kinds_to(KINDS)


def hold_job_kinds_to(kinds: tuple[str, ...]) -> None:
    """Change the words of a CHECK; SQLite copies the table for it."""
    words = ", ".join(f"'{word}'" for word in kinds)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(op.f("ck_jobs_kind"), f"kind IN ({words})")
