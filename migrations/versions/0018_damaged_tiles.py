"""tiles of a slide that are damaged without its decoder's word are kept with it"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "slides", sa.Column("damaged_tiles", sa.JSON(), nullable=False, server_default="[]")
    )


def downgrade() -> None:
    op.drop_column("slides", "damaged_tiles")
