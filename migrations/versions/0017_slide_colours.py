"""slides are read in sRGB by their profile; those that are measured already stay as they are"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "slides",
        sa.Column("colours_are_srgb", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    measured_before = "UPDATE slides SET colours_are_srgb = :no WHERE width IS NOT NULL"
    op.execute(sa.text(measured_before).bindparams(no=False))


def downgrade() -> None:
    op.drop_column("slides", "colours_are_srgb")
