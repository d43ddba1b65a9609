"""how much a correction of each patch could change its slide's category"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "patch_influences",
        sa.Column("slide_id", sa.String(length=36), nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("column", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("influence", sa.Double(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
        sa.CheckConstraint("rank >= 1", name=op.f("ck_patch_influences_rank_from_one")),
        sa.ForeignKeyConstraint(
            ["slide_id"],
            ["slides.id"],
            name=op.f("fk_patch_influences_slide_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("slide_id", "row", "column", name=op.f("pk_patch_influences")),
    )


def downgrade() -> None:
    op.drop_table("patch_influences")
