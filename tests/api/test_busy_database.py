"""A database that others hold is no mistake of ours: asked again soon it answers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from backend.kit.db import session as sessions
from backend.kit.db.session import Database
from tests.conftest import Service
from tests.support.ready import code, ready_slide


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute is too long for a test; asked for before the service opens its database."""
    monkeypatch.setattr(sessions, "BUSY_MS", 100)


@contextmanager
def held(database: Database) -> Iterator[None]:
    """Hold all of the database that a change of a slide needs, as another process would."""
    other = sessions.make_engine(str(database.engine.url.render_as_string(hide_password=False)))
    with other.execution_options(writes=True).connect() as connection, connection.begin():
        if other.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE slides IN ACCESS EXCLUSIVE MODE"))
        yield
    other.dispose()


def test_a_locked_database_is_503_and_asks_to_try_again(service: Service) -> None:
    slide_id = ready_slide(service)
    with held(service.database):
        answer = service.client.patch(f"/slides/{slide_id}", json={"case_id": "K 1"})
    assert code(answer) == (503, "database_busy"), answer.text
    assert int(answer.headers["Retry-After"]) > 0
    again = service.client.patch(f"/slides/{slide_id}", json={"case_id": "K 1"})
    assert again.status_code == 200, again.text
