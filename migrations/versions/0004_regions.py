"""regions of slides"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "region_sets",
        sa.Column("slide_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("base_revision", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("change", sa.String(length=32), nullable=False),
        sa.Column("region_count", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "revision = base_revision + 1", name=op.f("ck_region_sets_follows_its_base")
        ),
        sa.CheckConstraint("region_count >= 0", name=op.f("ck_region_sets_region_count")),
        sa.ForeignKeyConstraint(
            ["slide_id"],
            ["slides.id"],
            name=op.f("fk_region_sets_slide_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_region_sets_author_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_region_sets")),
        sa.UniqueConstraint("slide_id", "revision", name=op.f("uq_region_sets_slide_id_revision")),
    )


def downgrade() -> None:
    op.drop_table("region_sets")
