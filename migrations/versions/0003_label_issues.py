"""label issues, and the kind of job that finds them"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KINDS = ("ingest", "predict", "predict_viewport", "train", "cleanup")


def upgrade() -> None:
    hold_job_kinds_to((*KINDS[:4], "audit_labels", KINDS[4]))
    op.create_table(
        "label_audits",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("requested_by", sa.String(length=36), nullable=True),
        sa.Column("snapshot_sha256", sa.String(length=64), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("held_out", sa.String(length=16), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_label_audits_job_id")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("fk_label_audits_requested_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_audits")),
        sa.UniqueConstraint("job_id", name=op.f("uq_label_audits_job_id")),
    )
    op.create_table(
        "label_judgements",
        sa.Column("audit_id", sa.String(length=36), nullable=False),
        sa.Column("annotation_id", sa.String(length=36), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("judged_px", sa.Integer(), nullable=False),
        sa.Column("doubtful_px", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "doubtful_px >= 0 AND doubtful_px <= judged_px",
            name=op.f("ck_label_judgements_doubtful_is_judged"),
        ),
        sa.ForeignKeyConstraint(
            ["audit_id"],
            ["label_audits.id"],
            name=op.f("fk_label_judgements_audit_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["annotation_id"],
            ["annotations.id"],
            name=op.f("fk_label_judgements_annotation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("audit_id", "annotation_id", name=op.f("pk_label_judgements")),
    )
    with op.batch_alter_table("label_judgements", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_label_judgements_annotation_id"), ["annotation_id"], unique=False
        )
    op.create_table(
        "label_issues",
        sa.Column("audit_id", sa.String(length=36), nullable=False),
        sa.Column("annotation_id", sa.String(length=36), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("column", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("size_px", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("pixels_sha256", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('missing', 'surplus')", name=op.f("ck_label_issues_kind")),
        sa.CheckConstraint("score >= 0 AND score <= 1", name=op.f("ck_label_issues_score")),
        sa.ForeignKeyConstraint(
            ["audit_id", "annotation_id"],
            ["label_judgements.audit_id", "label_judgements.annotation_id"],
            name=op.f("fk_label_issues_audit_id_annotation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_issues")),
        sa.UniqueConstraint("audit_id", "rank", name=op.f("uq_label_issues_audit_id_rank")),
    )
    with op.batch_alter_table("label_issues", schema=None) as batch_op:
        batch_op.create_index(
            "ix_label_issues_judgement", ["audit_id", "annotation_id"], unique=False
        )


def downgrade() -> None:
    for table in ("label_issues", "label_judgements", "label_audits"):
        op.drop_table(table)
    op.execute("DELETE FROM jobs WHERE kind = 'audit_labels'")
    hold_job_kinds_to(KINDS)


def hold_job_kinds_to(kinds: tuple[str, ...]) -> None:
    """Change the words of a CHECK; SQLite copies the table for it."""
    words = ", ".join(f"'{word}'" for word in kinds)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(op.f("ck_jobs_kind"), f"kind IN ({words})")
