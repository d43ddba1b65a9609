"""how far masks are from proposals, and rounds that nothing could judge"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATES = ("open", "training", "evaluating", "promoted", "kept_back", "abandoned")


def upgrade() -> None:
    op.create_table(
        "annotation_proposals",
        sa.Column("annotation_id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("differing_px", sa.Integer(), nullable=False),
        sa.Column("membrane_px", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "0 <= differing_px AND differing_px <= membrane_px",
            name=op.f("ck_annotation_proposals_differing_px"),
        ),
        sa.ForeignKeyConstraint(
            ["annotation_id"],
            ["annotations.id"],
            name=op.f("fk_annotation_proposals_annotation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_annotation_proposals_model_version_id"),
        ),
        sa.PrimaryKeyConstraint(
            "annotation_id", "model_version_id", name=op.f("pk_annotation_proposals")
        ),
    )
    # all that is known of older masks: which were accepted as they were proposed
    op.execute(
        "INSERT INTO annotation_proposals SELECT id, model_version_id, 0, 0 FROM annotations "
        "WHERE source = 'proposal' AND model_version_id IS NOT NULL"
    )
    hold_states_to((*STATES[:-1], "not_judged", STATES[-1]))


def downgrade() -> None:
    op.execute("UPDATE rounds SET state = 'kept_back' WHERE state = 'not_judged'")
    hold_states_to(STATES)
    op.drop_table("annotation_proposals")


def hold_states_to(states: tuple[str, ...]) -> None:
    """Change the words of a CHECK. SQLite copies the table, but no index of an expression."""
    words = ", ".join(f"'{word}'" for word in states)
    live = sa.text("state IN ('open', 'training', 'evaluating')")
    op.drop_index("uq_rounds_live", "rounds")
    with op.batch_alter_table("rounds", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_rounds_state"), type_="check")
        batch_op.create_check_constraint(op.f("ck_rounds_state"), f"state IN ({words})")
    op.create_index(
        "uq_rounds_live",
        "rounds",
        [sa.text("(1)")],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
