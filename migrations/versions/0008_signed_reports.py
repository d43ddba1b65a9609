"""a report's in situ hybridisation, and no way around the guards of what is signed"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MESSAGE = "a signed report never changes"
FINAL = "('signed', 'superseded')"


def upgrade() -> None:
    op.add_column("reports", sa.Column("ish", sa.JSON(), nullable=True))
    guard()
    if op.get_bind().dialect.name == "postgresql":
        guard_from_truncate()


def downgrade() -> None:
    """Take back what is new; the guards stay as strong as they are, without the column."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        for table in ("reports", "report_cell_edits"):
            op.execute(f"DROP TRIGGER {table}_signed_truncate ON {table}")
        op.execute("DROP FUNCTION keep_signed_reports_whole")
    else:
        forget_guards()
    op.drop_column("reports", "ish")
    guard()


def guard() -> None:
    if op.get_bind().dialect.name == "postgresql":
        guard_on_postgresql()
    else:
        forget_guards()
        guard_reports_on_sqlite()
        guard_edits_on_sqlite()


def forget_guards() -> None:
    for name in ("reports_signed_insert", "reports_signed_update"):
        op.execute(f"DROP TRIGGER IF EXISTS {name}")
    for event in ("insert", "update"):
        op.execute(f"DROP TRIGGER IF EXISTS report_cell_edits_signed_{event}")


def guard_reports_on_sqlite() -> None:
    """Look at where a row comes from and where it goes to.

    OR REPLACE takes the row in its way out, by id or rowid, and no trigger of DELETE hears of it.
    """
    columns = [row[1] for row in op.get_bind().exec_driver_sql("PRAGMA table_info(reports)")]
    same = " AND ".join(f"OLD.{name} IS NEW.{name}" for name in columns if name != "state")
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    in_its_way = (
        f"EXISTS (SELECT 1 FROM reports WHERE (id = NEW.id OR rowid = NEW.rowid) "  # noqa: S608 - ours
        f"AND state IN {FINAL}"
    )
    op.execute(
        f"CREATE TRIGGER reports_signed_insert BEFORE INSERT ON reports WHEN {in_its_way}) {refuse}"
    )
    op.execute(
        f"CREATE TRIGGER reports_signed_update BEFORE UPDATE ON reports WHEN (OLD.state IN {FINAL} "
        f"AND NOT (OLD.state = 'signed' AND NEW.state = 'superseded' AND {same})) "
        f"OR {in_its_way} AND rowid <> OLD.rowid) {refuse}"
    )


def guard_edits_on_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"

    def signed(reports: str) -> str:
        return f"EXISTS (SELECT 1 FROM reports WHERE id IN ({reports}) AND state IN {FINAL})"  # noqa: S608 - ours

    replaced = "SELECT report_id FROM report_cell_edits WHERE id = NEW.id OR rowid = NEW.rowid"
    for event, going in (
        ("INSERT", "NEW.report_id"),
        ("UPDATE", "SELECT OLD.report_id UNION SELECT NEW.report_id"),
    ):
        op.execute(
            f"CREATE TRIGGER report_cell_edits_signed_{event.lower()} BEFORE {event} "
            f"ON report_cell_edits WHEN {signed(going)} OR {signed(replaced)} {refuse}"
        )


def guard_on_postgresql() -> None:
    """Look at both ends of an UPDATE; there is no REPLACE."""
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION keep_edits_of_signed_reports()
        RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE touched text[];
        BEGIN
            touched := CASE TG_OP
                WHEN 'INSERT' THEN ARRAY[NEW.report_id]
                WHEN 'DELETE' THEN ARRAY[OLD.report_id]
                ELSE ARRAY[OLD.report_id, NEW.report_id]
            END;
            IF EXISTS (SELECT 1 FROM reports WHERE id = ANY(touched) AND state IN {FINAL})
            THEN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$
        """  # noqa: S608 - our words
    )


def guard_from_truncate() -> None:
    """Refuse to empty the tables while anything is signed: no trigger of a row hears of that."""
    op.execute(
        f"""
        CREATE FUNCTION keep_signed_reports_whole() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT 1 FROM reports WHERE state IN {FINAL})
            THEN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 - our words
    )
    for table in ("reports", "report_cell_edits"):
        guard_table_from_truncate(table)


def guard_table_from_truncate(table: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_signed_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION keep_signed_reports_whole()"
    )
