"""slides count from the scanned part's corner; those that are measured already stay as they are"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "slides",
        sa.Column("counts_from_bounds", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    measured_before = "UPDATE slides SET counts_from_bounds = :no WHERE width IS NOT NULL"
    op.execute(sa.text(measured_before).bindparams(no=False))


def downgrade() -> None:
    op.drop_column("slides", "counts_from_bounds")
