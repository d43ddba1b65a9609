"""Is the service alive, and has it all it needs to work?"""

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.jobs import workers
from backend.jobs.bell import sender
from backend.kit.db.session import Database
from backend.kit.dependencies import CurrentDatabase, CurrentSettings
from backend.kit.errors import Unavailable
from backend.settings import Settings

router = APIRouter(prefix="/health", tags=["service"])


@router.get("/live")
async def live() -> dict[str, str]:
    """Answer as long as the process serves: not in a thread, which others may hold all."""
    return {"status": "alive"}


@router.get("/ready")
def ready(database: CurrentDatabase, settings: CurrentSettings) -> dict[str, str]:
    """Answer 200 when database, broker, storage and a worker are there."""
    missing = [
        sentence
        for sentence in (
            database_trouble(database),
            broker_trouble(settings),
            storage_trouble(settings),
        )
        if sentence
    ]
    if missing:
        raise Unavailable(" ".join(missing), code="not_ready")
    return {"status": "ready"}


def database_trouble(database: Database) -> str | None:
    """Say what is wrong with the database or with what it knows of the workers."""
    try:
        with database.reading() as session:
            session.execute(text("SELECT 1"))
            alive = workers.alive(session)
    except SQLAlchemyError:
        return "The database does not answer."
    return None if alive else "No worker has shown itself lately."


def broker_trouble(settings: Settings) -> str | None:
    app = sender(settings)
    from kombu.exceptions import OperationalError

    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError):
        return "The broker does not answer."
    return None


def storage_trouble(settings: Settings) -> str | None:
    """Prove that the data folder takes a file."""
    probe = settings.data / ".writable"
    try:
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    except OSError:
        return "The data folder can't be written."
    return None
