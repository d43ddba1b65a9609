"""studies: several blind readings of a patch, and what is decided between them"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("made_by", sa.String(length=36), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_studies_state")),
        sa.ForeignKeyConstraint(["made_by"], ["users.id"], name=op.f("fk_studies_made_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
    )
    op.create_table(
        "study_readers",
        sa.Column("study_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        study("study_readers"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_study_readers_user_id")),
        sa.PrimaryKeyConstraint("study_id", "user_id", name=op.f("pk_study_readers")),
    )
    op.create_table(
        "study_patches",
        sa.Column("study_id", sa.String(length=36), nullable=False),
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        study("study_patches"),
        patch("study_patches"),
        sa.PrimaryKeyConstraint("study_id", "patch_id", name=op.f("pk_study_patches")),
    )
    op.create_index("ix_study_patches_patch_id", "study_patches", ["patch_id"])
    op.create_table(
        "study_readings",
        sa.Column("study_id", sa.String(length=36), nullable=False),
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        sa.Column("reader_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("mask_sha256", sa.String(length=64), nullable=False),
        sa.Column("seconds_spent", sa.Double(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_study_readings_revision")),
        study("study_readings"),
        patch("study_readings"),
        sa.ForeignKeyConstraint(
            ["reader_id"], ["users.id"], name=op.f("fk_study_readings_reader_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_readings")),
        sa.UniqueConstraint(
            "study_id",
            "patch_id",
            "reader_id",
            "revision",
            name=op.f("uq_study_readings_study_id_patch_id_reader_id_revision"),
        ),
    )
    op.create_table(
        "adjudications",
        sa.Column("study_id", sa.String(length=36), nullable=False),
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        sa.Column("made_by", sa.String(length=36), nullable=False),
        sa.Column("reader_id", sa.String(length=36), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("base_revision", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.String(length=36), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_by", sa.String(length=36), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        study("adjudications"),
        patch("adjudications"),
        sa.ForeignKeyConstraint(
            ["annotation_id"],
            ["annotations.id"],
            name=op.f("fk_adjudications_annotation_id"),
            ondelete="CASCADE",
        ),
        *(
            sa.ForeignKeyConstraint([name], ["users.id"], name=op.f(f"fk_adjudications_{name}"))
            for name in ("made_by", "reader_id", "undone_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjudications")),
    )
    standing = sa.text("undone_at IS NULL")
    op.create_index(
        "uq_adjudications_standing",
        "adjudications",
        ["patch_id"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )


def study(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["study_id"], ["studies.id"], name=op.f(f"fk_{table}_study_id"), ondelete="CASCADE"
    )


def patch(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["patch_id"], ["patches.id"], name=op.f(f"fk_{table}_patch_id"), ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in ("adjudications", "study_readings", "study_patches", "study_readers", "studies"):
        op.drop_table(table)
