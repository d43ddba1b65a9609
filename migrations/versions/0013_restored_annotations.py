"""which earlier revision an annotation restores"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("annotations", sa.Column("restores", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("annotations", "restores")
