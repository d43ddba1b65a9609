"""the audit trail is a chain with a signed end; revisions of masks never change; reports are signed

The chain begins with the entries as they are found, oldest first.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from alembic import op

from backend.kit.db.base import UtcDateTime
from backend.people.audit import chain

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TRAIL = "the audit trail only grows"
REVISIONS = "a revision of a mask never changes"
AT_ONCE = 1000
signed_reports = import_module("migrations.versions.0008_signed_reports")

OF_PATCH = "EXISTS (SELECT 1 FROM patches WHERE id = OLD.patch_id)"
OF_SLIDE = (
    "EXISTS (SELECT 1 FROM slides WHERE id = OLD.slide_id) "
    "AND EXISTS (SELECT 1 FROM annotations WHERE patch_id = OLD.id)"
)
"""What is deleted with what it belongs to has lost that already."""

LINK = ("number", "previous_sha256", "sha256")
entries = sa.table(
    "audit_entries",
    *(sa.column(name) for name in ("id", "user_id", "action", "subject_type", "subject_id")),
    *(sa.column(name) for name in LINK),
    sa.column("created_at", UtcDateTime()),
    sa.column("details", sa.JSON()),
)


def upgrade() -> None:
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_name", sa.String(length=16), nullable=True),
        sa.Column("signature", sa.String(length=88), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    with trail_open():
        op.add_column("audit_entries", sa.Column("number", sa.Integer(), nullable=True))
        for name in LINK[1:]:
            op.add_column("audit_entries", sa.Column(name, sa.String(length=64), nullable=True))
        number, last = chained()
        with op.batch_alter_table("audit_entries") as batch:
            for name in LINK:
                batch.alter_column(name, nullable=False)
            batch.create_unique_constraint(op.f("uq_audit_entries_number"), ["number"])
    op.execute(sa.insert(head).values(id=1, number=number, sha256=last))
    op.add_column("reports", sa.Column("signature_key", sa.String(16), nullable=True))
    op.add_column("reports", sa.Column("signature_ed25519", sa.String(88), nullable=True))
    guard_reports()
    guard_revisions()


def chained() -> tuple[int, str]:
    """Chain what there is, oldest first; return the last number and hash."""
    number, last, after = 0, chain.BEFORE_THE_FIRST, ""
    while rows := some_after(after):
        links = []
        for row in rows:
            number += 1
            link = {"number": number, "previous_sha256": last}
            last = chain.sha256_of({**row, **link})
            links.append({"b_id": row["id"], "b_sha256": last, **{f"b_{k}": link[k] for k in link}})
        op.get_bind().execute(
            sa.update(entries)
            .where(entries.c.id == sa.bindparam("b_id"))
            .values({name: sa.bindparam(f"b_{name}") for name in LINK}),
            links,
        )
        after = rows[-1]["id"]
    return number, last


def some_after(entry_id: str) -> Sequence[Mapping[str, Any]]:
    asked = sa.select(entries).where(entries.c.id > entry_id).order_by(entries.c.id)
    return op.get_bind().execute(asked.limit(AT_ONCE)).mappings().all()


@contextmanager
def trail_open() -> Iterator[None]:
    """Let entries take the new columns' values, and hold them again."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute("ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_kept")
    else:
        for event in ("update", "delete", "insert"):
            op.execute(f"DROP TRIGGER audit_entries_{event}")
    yield
    if postgresql:
        op.execute("ALTER TABLE audit_entries ENABLE TRIGGER audit_entries_kept")
    else:
        hold_trail_on_sqlite()


def hold_trail_on_sqlite() -> None:
    """Refuse every change; INSERT OR REPLACE takes any row in its way out without a DELETE."""
    columns = [row[1] for row in op.get_bind().exec_driver_sql("PRAGMA table_info(audit_entries)")]
    ways = ["id = NEW.id", "rowid = NEW.rowid"]
    ways += ["number = NEW.number"] if "number" in columns else []
    there = f"WHEN EXISTS (SELECT 1 FROM audit_entries WHERE {' OR '.join(ways)})"  # noqa: S608 - ours
    for event, when in (("UPDATE", ""), ("DELETE", ""), ("INSERT", there)):
        op.execute(
            f"CREATE TRIGGER audit_entries_{event.lower()} BEFORE {event} ON audit_entries {when} "
            f"BEGIN SELECT RAISE(ABORT, '{TRAIL}'); END"
        )


def guard_reports() -> None:
    """On SQLite the guard names every column of a report, the new ones, too."""
    if op.get_bind().dialect.name == "sqlite":
        signed_reports.forget_guards()
        signed_reports.guard_reports_on_sqlite()


def guard_revisions() -> None:
    """Refuse every change of a mask's revision; it goes with its patch, and that with its slide."""
    if op.get_bind().dialect.name == "postgresql":
        guard_revisions_on_postgresql()
    else:
        guard_revisions_on_sqlite()


def guard_revisions_on_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REVISIONS}'); END"
    in_its_way = (
        "EXISTS (SELECT 1 FROM annotations WHERE id = NEW.id OR rowid = NEW.rowid "
        "OR (patch_id = NEW.patch_id AND revision = NEW.revision))"
    )
    patch_in_its_way = (
        "EXISTS (SELECT 1 FROM annotations JOIN patches ON patches.id = annotations.patch_id "
        "WHERE patches.id = NEW.id OR patches.rowid = NEW.rowid "
        'OR (patches.slide_id = NEW.slide_id AND patches."row" = NEW."row" '
        'AND patches."column" = NEW."column"))'
    )
    for (table, event), condition in {
        ("annotations", "UPDATE"): "1",
        ("annotations", "DELETE"): OF_PATCH,
        ("annotations", "INSERT"): in_its_way,
        ("patches", "DELETE"): OF_SLIDE,
        ("patches", "INSERT"): patch_in_its_way,
    }.items():
        op.execute(
            f"CREATE TRIGGER {table}_kept_{event.lower()} BEFORE {event} ON {table} "
            f"WHEN {condition} {refuse}"
        )
    # where a patch lies is for good: one that is put in another's place takes it in its way out
    op.execute(
        'CREATE TRIGGER patches_kept_update BEFORE UPDATE OF id, slide_id, "row", "column" '
        f"ON patches {refuse}"
    )


def guard_revisions_on_postgresql() -> None:
    refuse = f"RAISE EXCEPTION '{REVISIONS}' USING ERRCODE = 'restrict_violation';"
    for table, still_there in (("annotations", OF_PATCH), ("patches", OF_SLIDE)):
        op.execute(
            f"""
            CREATE FUNCTION keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'UPDATE' THEN {refuse} END IF;
                IF {still_there} THEN {refuse} END IF;
                RETURN OLD;
            END $$
            """
        )
    op.execute(
        f"""
        CREATE FUNCTION keep_all_annotations() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT 1 FROM annotations) THEN {refuse} END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 - our words
    )
    for table, events in (("annotations", "UPDATE OR DELETE"), ("patches", "DELETE")):
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE {events} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION keep_{table}()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_kept_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION keep_all_annotations()"
        )


def release_revisions() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("annotations", "patches"):
            op.execute(f"DROP TRIGGER {table}_kept ON {table}")
            op.execute(f"DROP TRIGGER {table}_kept_truncate ON {table}")
            op.execute(f"DROP FUNCTION keep_{table}")
        op.execute("DROP FUNCTION keep_all_annotations")
    else:
        for table in ("annotations", "patches"):
            for event in ("update", "delete", "insert"):
                op.execute(f"DROP TRIGGER {table}_kept_{event}")


def downgrade() -> None:
    release_revisions()
    if op.get_bind().dialect.name == "sqlite":
        signed_reports.forget_guards()
    op.drop_column("reports", "signature_ed25519")
    op.drop_column("reports", "signature_key")
    guard_reports()
    with trail_open(), op.batch_alter_table("audit_entries") as batch:
        batch.drop_constraint(op.f("uq_audit_entries_number"), type_="unique")
        for name in ("sha256", "previous_sha256", "number"):
            batch.drop_column(name)
    op.drop_table("audit_head")
