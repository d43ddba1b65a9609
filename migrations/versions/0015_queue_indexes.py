"""indexes in the order of the queue, and of the few patches that are leased or annotated"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SOME = {
    "ix_patches_lease_until": ["lease_until"],
    "ix_patches_lease_user_id": ["lease_user_id"],
    "ix_patches_role": ["role", "slide_id"],
}


def upgrade() -> None:
    for name, columns in SOME.items():
        there = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "patches", columns, sqlite_where=there, postgresql_where=there)
    op.create_index(
        "ix_patch_predictions_entropy", "patch_predictions", ["prediction_id", "entropy"]
    )
    op.create_index("ix_patch_influences_rank", "patch_influences", ["slide_id", "rank"])


def downgrade() -> None:
    op.drop_index("ix_patch_influences_rank", "patch_influences")
    op.drop_index("ix_patch_predictions_entropy", "patch_predictions")
    for name in SOME:
        op.drop_index(name, "patches")
