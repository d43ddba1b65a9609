"""each computed score is a step of the slide's log, from which the way to a category is replayed"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "score_steps",
        sa.Column("slide_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_score_steps_number_from_one")),
        sa.ForeignKeyConstraint(
            ["slide_id"],
            ["slides.id"],
            name=op.f("fk_score_steps_slide_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("slide_id", "number", name=op.f("pk_score_steps")),
    )


def downgrade() -> None:
    op.drop_table("score_steps")
