"""patches that people have painted only in part, and such that they made"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0021"
branch_labels = None
depends_on = None

STATES = (
    "unreviewed",
    "proposed",
    "in_annotation",
    "partial",
    "annotated",
    "returned",
    "approved",
    "skipped",
)


class MasksInPart(Exception):
    """What people painted in part can't be shown by the version before."""


def upgrade() -> None:
    add_unseen("annotations")
    with op.batch_alter_table("round_patches", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("complete", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    add_unseen("patches")
    change_patches(STATES, nullable=True)


def downgrade() -> None:
    painted = sa.text("SELECT 1 FROM annotations WHERE unseen_px > 0 LIMIT 1")
    if op.get_bind().execute(painted).first():
        raise MasksInPart(
            "Some masks are painted only in part, and the version before would read what nobody "
            "has looked at as a damaged mask. Nothing was changed."
        )
    op.execute("UPDATE patches SET tissue_fraction = 0 WHERE tissue_fraction IS NULL")
    change_patches(tuple(each for each in STATES if each != "partial"), nullable=False)
    for table in ("patches", "annotations"):
        with lot_aside(table), op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(op.f(f"ck_{table}_unseen_px"), type_="check")
            batch_op.drop_column("unseen_px")
    with op.batch_alter_table("round_patches", schema=None) as batch_op:
        batch_op.drop_column("complete")


def add_unseen(table: str) -> None:
    with lot_aside(table), op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("unseen_px", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.create_check_constraint(op.f(f"ck_{table}_unseen_px"), "unseen_px >= 0")


def change_patches(states: tuple[str, ...], *, nullable: bool) -> None:
    words = ", ".join(f"'{word}'" for word in states)
    with lot_aside("patches"), op.batch_alter_table("patches", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_patches_state"), type_="check")
        batch_op.create_check_constraint(op.f("ck_patches_state"), f"state IN ({words})")
        batch_op.alter_column("tissue_fraction", existing_type=sa.Double(), nullable=nullable)


@contextmanager
def lot_aside(table: str) -> Iterator[None]:
    """Do without the index of an expression meanwhile: SQLite's copy would lose it."""
    if table == "patches":
        op.drop_index("ix_patches_lot", table_name="patches")
    yield
    if table == "patches":
        op.create_index("ix_patches_lot", "patches", ["slide_id", sa.text("substr(id, 29)")])
