"""An installation from before it had a key that signs, made out of one of today by downgrading."""

from alembic import command
from sqlalchemy import text

from backend.kit.db.migrate import config
from backend.kit.signing_key import trusted_list
from tests.conftest import Service

GUARD = (
    "CREATE TRIGGER audit_entries_update BEFORE UPDATE ON audit_entries "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
)


def downgrade(service: Service, revision: str) -> None:
    """Go down to a revision before 0024; the trail of then knows of no key either."""
    command.downgrade(config(), revision)
    key = service.settings.signing_key_file
    for file in (key, trusted_list(key)):
        file.unlink()
    with service.database.writing() as session:
        if service.database.engine.dialect.name == "postgresql":
            statements = [
                "ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_kept",
                "UPDATE audit_entries SET details = (details::jsonb - 'key')::json",
                "ALTER TABLE audit_entries ENABLE TRIGGER audit_entries_kept",
            ]
        else:
            statements = [
                "DROP TRIGGER audit_entries_update",
                "UPDATE audit_entries SET details = json_remove(details, '$.key')",
                GUARD,
            ]
        for each in statements:
            session.execute(text(each.replace("::", "\\:\\:")))
