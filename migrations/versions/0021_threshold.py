"""each model version has its threshold for membrane; those of before have one half"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "model_versions",
        sa.Column("threshold", sa.Double(), nullable=False, server_default="0.5"),
    )


def downgrade() -> None:
    op.drop_column("model_versions", "threshold")
