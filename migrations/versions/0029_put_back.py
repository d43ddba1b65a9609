"""patches that a person has put back for later"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "patch_skips",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("patch_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["patch_id"],
            ["patches.id"],
            name=op.f("fk_patch_skips_patch_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_patch_skips_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "patch_id", name=op.f("pk_patch_skips")),
    )
    op.create_index("ix_patch_skips_patch_id", "patch_skips", ["patch_id"])


def downgrade() -> None:
    op.drop_table("patch_skips")
