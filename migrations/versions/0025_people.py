"""passwords to be changed, tokens with a role, scopes and an end, sessions that nobody uses"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users",
        sa.Column("must_change_password", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    with op.batch_alter_table("api_tokens") as batch:
        batch.add_column(sa.Column("role", sa.String(32), nullable=True))
        batch.add_column(sa.Column("scopes", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
        batch.create_check_constraint(
            op.f("ck_api_tokens_role"), "role IN ('viewer', 'pathologist', 'admin')"
        )
    # who is signed in goes on
    op.add_column(
        "browser_sessions", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute("UPDATE browser_sessions SET seen_at = CURRENT_TIMESTAMP")
    with op.batch_alter_table("browser_sessions") as batch:
        batch.alter_column("seen_at", nullable=False)


def downgrade() -> None:
    op.drop_column("browser_sessions", "seen_at")
    with op.batch_alter_table("api_tokens") as batch:
        batch.drop_constraint(op.f("ck_api_tokens_role"), type_="check")
        for name in ("expires_at", "scopes", "role"):
            batch.drop_column(name)
    op.drop_column("users", "must_change_password")
