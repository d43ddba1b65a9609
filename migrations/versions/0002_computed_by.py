"""what computed a shard"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("prediction_shards", schema=None) as batch_op:
        batch_op.add_column(sa.Column("computed_by", sa.String(length=80), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("prediction_shards", schema=None) as batch_op:
        batch_op.drop_column("computed_by")
