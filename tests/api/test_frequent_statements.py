"""What is asked often is found by an index: no statement walks through all patches."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from backend.her2.scores.tables import LiveScore
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.kit.db.base import now
from backend.kit.db.session import Database
from backend.learning.queue.order import Strategy
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.ready import patches_of, predicted_slide, put, some_mask
from worker.reaper import Reaper

MANY = {"patches", "patch_predictions", "patch_influences", "annotations", "events", "jobs"}
"""Tables that grow with every slide, or with every day."""
WALKED = re.compile(r"^SCAN (\w+)(?! USING (COVERING )?INDEX ix_patches_(lease|role))")


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is asked of the database, with its values."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, ___: Any, many: Any) -> None:
        if not many and statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE"}:
            seen.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def walks(database: Database, asked: list[tuple[str, Any]]) -> list[str]:
    """Return the statements that look at every row of a large table, as SQLite plans them."""
    found = []
    with database.engine.connect() as connection:
        for statement, values in dict(asked).items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            tables = [match[1] for row in plan if (match := WALKED.match(row[3]))]
            if MANY.intersection(tables):
                lines = "\n".join(f"  {row[3]}" for row in plan)
                found.append(f"{statement}\n{lines}")
    return found


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("strategy", ["uncertainty", "entropy", "random", "clinical"])
def test_the_queue_walks_through_no_table(service: Service, strategy: Strategy) -> None:
    """It looked at every patch of the installation three times a call."""
    slide_id = predicted_slide(service)
    with service.database.writing() as session:
        session.add(LiveScore(slide_id=slide_id, protocol="any", computed_at=now()))
    user = service.client_of(Role.PATHOLOGIST)
    with statements(service.database) as asked:
        for _ in range(3):
            assert user.get("/queue/next", params={"strategy": strategy}).status_code != 500
        patch_id = patches_of(service.client, slide_id)[0]["id"]
        user.get("/queue/next", params={"strategy": strategy, "after": patch_id})
    assert walks(service.database, asked) == []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_people_and_workers_do_all_day_walks_through_no_table(service: Service) -> None:
    slide_id = predicted_slide(service)
    with service.database.writing() as session:
        job_id = jobs.enqueue(session, service.settings, JobKind.CLEANUP, "a").id
    reaper = Reaper(service.database, service.settings, name="test", queues="cpu")
    client = service.client
    with statements(service.database) as asked:
        listed = patches_of(client, slide_id)
        patches_of(client, slide_id, order="position")
        for number, patch in enumerate(listed[:3]):
            put(client, patch["id"], some_mask(number)).raise_for_status()
        put(client, listed[0]["id"], some_mask(9), if_match='"r1"').raise_for_status()
        client.get(f"/patches/{listed[0]['id']}/annotations").raise_for_status()
        for kind in ("proposal", "annotation"):
            client.get(f"/slides/{slide_id}/overlays/{kind}_files/8/0_0.png").raise_for_status()
        client.get(f"/jobs/{job_id}").raise_for_status()
        client.get(f"/slides/{slide_id}").raise_for_status()
        reaper.look()
    assert walks(service.database, asked) == []
