"""reports, whose signed rows never change, and the kinds of job that make and check them"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KINDS = ("ingest", "predict", "predict_viewport", "train", "audit_labels", "cleanup")
NEW = ("report", "verify_report")
MESSAGE = "a signed report never changes"
FINAL = "('signed', 'superseded')"


def text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def upgrade() -> None:
    hold_job_kinds_to((*KINDS[:5], *NEW, KINDS[5]))
    op.create_table(
        "reports",
        text("slide_id", 36),
        text("state", 32),
        sa.Column("version", sa.Integer(), nullable=False),
        text("amends_id", 36, nullable=True),
        sa.Column("amendment_reason", sa.Text(), nullable=False),
        text("requested_by", 36),
        text("job_id", 36, nullable=True),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("assay", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        text("document_sha256", 64, nullable=True),
        text("score", 32, nullable=True),
        text("printed_score", 64, nullable=True),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("edit_count", sa.Integer(), nullable=False),
        text("signed_by", 36, nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        text("signed_meaning", 32, nullable=True),
        text("signed_score", 32, nullable=True),
        sa.Column("signed_comment", sa.Text(), nullable=False),
        sa.Column("signed_reason", sa.Text(), nullable=False),
        text("signature_sha256", 64, nullable=True),
        text("pdf_sha256", 64, nullable=True),
        text("id", 36),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('computing', 'failed', 'draft', 'signed', 'superseded')",
            name=op.f("ck_reports_state"),
        ),
        sa.CheckConstraint(
            "signed_meaning IN ('author', 'reviewer', 'approver')",
            name=op.f("ck_reports_signed_meaning"),
        ),
        sa.CheckConstraint(
            "state IN ('computing', 'failed') OR document_sha256 IS NOT NULL",
            name=op.f("ck_reports_draft_has_document"),
        ),
        sa.CheckConstraint(
            f"(state IN {FINAL}) = (signature_sha256 IS NOT NULL)",
            name=op.f("ck_reports_signed_has_signature"),
        ),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slides.id"], name=op.f("fk_reports_slide_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["amends_id"], ["reports.id"], name=op.f("fk_reports_amends_id")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("fk_reports_requested_by")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_reports_job_id")),
        sa.ForeignKeyConstraint(["signed_by"], ["users.id"], name=op.f("fk_reports_signed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
    )
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.create_index("ix_reports_slide_id", ["slide_id"], unique=False)
    make_edits()
    if op.get_bind().dialect.name == "postgresql":
        guard_reports_on_postgresql()
        guard_edits_on_postgresql()
    else:
        guard_reports_on_sqlite()
        guard_edits_on_sqlite()


def make_edits() -> None:
    op.create_table(
        "report_cell_edits",
        text("report_id", 36),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cell", sa.Integer(), nullable=False),
        text("action", 32),
        text("label", 2, nullable=True),
        text("measured", 2),
        text("author_id", 36),
        sa.Column("reason", sa.Text(), nullable=False),
        text("id", 36),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "action IN ('exclude', 'include', 'class')", name=op.f("ck_report_cell_edits_action")
        ),
        sa.CheckConstraint(
            "(action = 'class') = (label IS NOT NULL)",
            name=op.f("ck_report_cell_edits_class_is_named"),
        ),
        sa.CheckConstraint("cell >= 0", name=op.f("ck_report_cell_edits_cell")),
        sa.ForeignKeyConstraint(
            ["report_id"],
            ["reports.id"],
            name=op.f("fk_report_cell_edits_report_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_report_cell_edits_author_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_cell_edits")),
        sa.UniqueConstraint(
            "report_id", "number", name=op.f("uq_report_cell_edits_report_id_number")
        ),
    )


def guard_reports_on_sqlite() -> None:
    """Let a signed row change in one way only: to superseded, all else being the same."""
    columns = [row[1] for row in op.get_bind().exec_driver_sql("PRAGMA table_info(reports)")]
    same = " AND ".join(f"OLD.{name} IS NEW.{name}" for name in columns if name != "state")
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    op.execute(
        f"CREATE TRIGGER reports_signed_update BEFORE UPDATE ON reports WHEN OLD.state IN {FINAL} "
        f"AND NOT (OLD.state = 'signed' AND NEW.state = 'superseded' AND {same}) {refuse}"
    )
    op.execute(
        f"CREATE TRIGGER reports_signed_delete BEFORE DELETE ON reports "
        f"WHEN OLD.state IN {FINAL} {refuse}"
    )


def guard_edits_on_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
        signed = f"SELECT 1 FROM reports WHERE id = {row}.report_id AND state IN {FINAL}"  # noqa: S608 - ours
        op.execute(
            f"CREATE TRIGGER report_cell_edits_signed_{event.lower()} BEFORE {event} "
            f"ON report_cell_edits WHEN EXISTS ({signed}) {refuse}"
        )


def guard_reports_on_postgresql() -> None:
    """Do the same in PL/pgSQL; the error is one of integrity, as SQLite's is."""
    refuse = f"RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';"
    op.execute(
        f"""
        CREATE FUNCTION keep_signed_reports() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.state IN {FINAL} AND (
                TG_OP = 'DELETE' OR NOT (
                    OLD.state = 'signed' AND NEW.state = 'superseded'
                    AND to_jsonb(OLD) - 'state' = to_jsonb(NEW) - 'state'
                )
            ) THEN {refuse}
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER reports_signed BEFORE UPDATE OR DELETE ON reports "
        "FOR EACH ROW EXECUTE FUNCTION keep_signed_reports()"
    )


def guard_edits_on_postgresql() -> None:
    refuse = f"RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation';"
    op.execute(
        f"""
        CREATE FUNCTION keep_edits_of_signed_reports() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE report text;
        BEGIN
            report := CASE TG_OP WHEN 'INSERT' THEN NEW.report_id ELSE OLD.report_id END;
            IF EXISTS (SELECT 1 FROM reports WHERE id = report AND state IN {FINAL})
            THEN {refuse}
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$
        """  # noqa: S608 - our words
    )
    op.execute(
        "CREATE TRIGGER report_cell_edits_signed BEFORE INSERT OR UPDATE OR DELETE "
        "ON report_cell_edits FOR EACH ROW EXECUTE FUNCTION keep_edits_of_signed_reports()"
    )


def downgrade() -> None:
    for table in ("report_cell_edits", "reports"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION keep_signed_reports")
        op.execute("DROP FUNCTION keep_edits_of_signed_reports")
    op.execute("DELETE FROM jobs WHERE kind IN ('report', 'verify_report')")
    hold_job_kinds_to(KINDS)


def hold_job_kinds_to(kinds: tuple[str, ...]) -> None:
    """Change the words of a CHECK; SQLite copies the table for it."""
    words = ", ".join(f"'{word}'" for word in kinds)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(op.f("ck_jobs_kind"), f"kind IN ({words})")
