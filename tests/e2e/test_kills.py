"""`kill -9` anywhere, an emptied broker, everything restarted: the same final state, nothing twice.

Three installations do the same work: one in peace, one whose workers are killed in the middle of
ingest, prediction and training, one on PostgreSQL and Redis that loses messages and everything.
All must end alike: the same patches, the same proposals, the same weights to the last bit.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.e2e.conftest import Phantom
from tests.support.installation import Installation, embedded, finished, production, until
from tests.support.pathologist import Pathologist, idle, ingested, patches_of, upload

pytestmark = pytest.mark.slow
SIDE = 4096
CORRECTED = 13
SETTINGS = {
    "MEMBRANA_THREADS": "1",
    "MEMBRANA_LEASE_SECONDS": "6",
    "MEMBRANA_HEARTBEAT_SECONDS": "1",
    "MEMBRANA_REAPER_SECONDS": "1",
    "MEMBRANA_RING_AGAIN_SECONDS": "2",
    "MEMBRANA_ROUND_ANNOTATIONS": "0",
    # the third, the eighth and the thirteenth are held out
    "MEMBRANA_GOLD_PATCHES": "3",
    "MEMBRANA_ROUND_ITERATIONS": "40",
    "MEMBRANA_ROUND_UNLABELLED": "20",
    "MEMBRANA_CHECKPOINT_STEPS": "5",
}
State = dict[str, Any]


class Peace:
    """What happens to an installation at each stage of its work: nothing."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def before_upload(self) -> None: ...

    def at_ingest(self, client: httpx.Client) -> None: ...

    def at_prediction(self, client: httpx.Client) -> None: ...

    def at_training(self, client: httpx.Client) -> None: ...

    def attempts(self) -> dict[str, int]:
        """Least number of attempts that each kind of job must have taken."""
        return {}


class KilledWorkers(Peace):
    """The embedded installation: its supervisor must bring each worker back by itself."""

    def at_ingest(self, client: httpx.Client) -> None:
        running(client, "ingest", progress=-1)
        self.installation.kill_worker("cpu")

    def at_prediction(self, client: httpx.Client) -> None:
        running(client, "predict")
        self.installation.kill_worker("gpu")

    def at_training(self, client: httpx.Client) -> None:
        running(client, "train", progress=0.2)
        self.installation.kill_worker("gpu")

    def attempts(self) -> dict[str, int]:
        return {"ingest": 2, "predict": 2, "train": 2}


class LostMessages(Peace):
    """PostgreSQL and Redis: the broker forgets everything, then every process dies at once."""

    def __init__(self, installation: Installation, redis_url: str) -> None:
        super().__init__(installation)
        self.redis = redis.Redis.from_url(redis_url)

    def before_upload(self) -> None:
        self.installation.kill_worker("cpu")

    def at_ingest(self, client: httpx.Client) -> None:
        """The bell of the upload rang, nobody was there to hear it, and it is wiped out."""
        assert self.redis.llen("cpu") > 0
        self.redis.flushall()
        self.installation.start("cpu")

    def at_prediction(self, client: httpx.Client) -> None:
        running(client, "predict")
        self.redis.flushall()

    def at_training(self, client: httpx.Client) -> None:
        running(client, "train", progress=0.2)
        self.installation.kill_everything()
        self.redis.flushall()
        self.installation.start()
        self.installation.ready()

    def attempts(self) -> dict[str, int]:
        return {"train": 2}


def running(client: httpx.Client, kind: str, progress: float = 0.0) -> None:
    """Wait until such a job is being worked on and has got further than `progress`."""

    def look() -> bool:
        jobs = client.get("/jobs", params={"kind": kind, "state": "running"}).raise_for_status()
        return any(job["progress"] > progress for job in jobs.json()["items"])

    until(look, f"a running {kind} job")


def work(installation: Installation, phantom: Phantom, fate: Peace) -> State:
    """Upload, correct, train; return the final state without ids and times."""
    path, truth = phantom
    with installation.running(), installation.client() as client:
        fate.before_upload()
        slide_id = upload(client, path)["id"]
        fate.at_ingest(client)
        assert ingested(client, slide_id)["state"] == "ready"
        fate.at_prediction(client)
        idle(client)

        pathologist = Pathologist(client, slide_id, truth)
        masks = pathologist.correct(CORRECTED)
        started = client.post("/rounds").raise_for_status().json()["round"]
        fate.at_training(client)
        end = {"promoted", "kept_back", "not_judged", "abandoned"}
        ended = until(finished(client, f"/rounds/{started['id']}", end), "the round to end")
        assert ended["state"] in {"promoted", "kept_back"}, ended
        idle(client)
        assert pathologist.masks(list(masks)) == masks
        return final_state(client, slide_id, fate)


def final_state(client: httpx.Client, slide_id: str, fate: Peace) -> State:
    def items(path: str, **params: str) -> list[dict[str, Any]]:
        return client.get(path, params=params).raise_for_status().json()["items"]

    jobs = [job for job in items("/jobs") if job["kind"] != "cleanup"]
    for kind, least in fate.attempts().items():
        assert any(job["attempts"] >= least for job in jobs if job["kind"] == kind), (kind, jobs)
    slide = client.get(f"/slides/{slide_id}").raise_for_status().json()
    rounds, versions = items("/rounds"), items("/model-versions")
    return {
        "jobs": sorted((job["kind"], job["state"]) for job in jobs),
        "slide": {key: slide[key] for key in ("state", "sha256", "patch_count", "qc", "mpp")},
        "patches": [
            (
                patch["row"],
                patch["column"],
                patch["state"],
                patch["revision"],
                patch["uncertainty"],
                proposal(client, patch["id"]),
            )
            for patch in patches_of(client, slide_id)
        ],
        "rounds": [(each["state"], each["metrics"]) for each in rounds],
        "models": sorted(
            (each["name"], each["state"], each["weights_sha256"]) for each in versions
        ),
    }


def proposal(client: httpx.Client, patch_id: str) -> str:
    content = client.get(f"/patches/{patch_id}/proposal.png").raise_for_status().content
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def phantom(make_phantom: Callable[..., Phantom]) -> Phantom:
    return make_phantom(11, SIDE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> State:
    installation = embedded(tmp_path_factory.mktemp("peace") / "data", **SETTINGS)
    return work(installation, phantom, Peace(installation))


def same(one: State, other: State) -> None:
    for part, expected in other.items():
        assert one[part] == expected, part


def test_killed_workers(tmp_path: Path, phantom: Phantom, undisturbed: State) -> None:
    installation = embedded(tmp_path / "data", **SETTINGS)
    same(work(installation, phantom, KilledWorkers(installation)), undisturbed)


def test_lost_messages_and_a_restart_of_everything(
    tmp_path: Path,
    phantom: Phantom,
    undisturbed: State,
    fresh_postgresql: str,
    redis_url: str,
) -> None:
    installation = production(tmp_path / "data", fresh_postgresql, redis_url, **SETTINGS)
    same(work(installation, phantom, LostMessages(installation, redis_url)), undisturbed)
