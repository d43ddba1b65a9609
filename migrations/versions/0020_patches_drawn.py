"""patches can be drawn at random without looking at all of them"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_patches_lot", "patches", ["slide_id", sa.text("substr(id, 29)")])


def downgrade() -> None:
    op.drop_index("ix_patches_lot", table_name="patches")
