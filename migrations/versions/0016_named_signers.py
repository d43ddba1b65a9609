"""people's full names, the block of a slide, and what a signature froze beside the report"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

guard = import_module("migrations.versions.0008_signed_reports").guard
"""On SQLite the guard names every column of a report, the new one, too."""


def upgrade() -> None:
    op.add_column("users", sa.Column("full_name", sa.String(200), nullable=True))
    op.add_column("slides", sa.Column("block", sa.String(100), nullable=True))
    op.add_column("reports", sa.Column("signed_facts", sa.JSON(), nullable=True))
    guard()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        import_module("migrations.versions.0008_signed_reports").forget_guards()
    op.drop_column("reports", "signed_facts")
    op.drop_column("slides", "block")
    op.drop_column("users", "full_name")
    guard()
