"""Bring the database to this version's tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations


def config() -> Config:
    """Return Alembic's configuration for the packaged migrations."""
    alembic = Config()
    alembic.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return alembic


def upgrade() -> None:
    command.upgrade(config(), "head")
