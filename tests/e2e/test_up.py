"""`membrana up` as its operator meets it: first start, Ctrl-C, a second try, a power cut."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from models.starter import shipped
from tests.e2e.conftest import Phantom
from tests.support.installation import Installation, embedded, until
from tests.support.pathologist import idle, ingested, patches_of, pixels, upload

pytestmark = pytest.mark.slow
SAMPLED = 9
"""Of a core every ninth patch is looked at."""
QUEUES = ("interactive", "gpu", "cpu")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose first start is attended: no password is set."""
    made = embedded(
        tmp_path / "data", MEMBRANA_ADMIN_PASSWORD="", PYTHONUNBUFFERED="1", MEMBRANA_THREADS="1"
    )
    made.data.mkdir()
    yield made
    for process in family(made):
        process.kill()


def family(installation: Installation) -> list[psutil.Process]:
    """Return every living process that works on the data folder, whoever is its parent now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if (
                process.environ().get("MEMBRANA_DATA") == str(installation.data)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def said(installation: Installation) -> str:
    return (installation.data / "up.log").read_text()


def start(installation: Installation) -> None:
    installation.start()
    installation.ready()
    before = said(installation).count("Stopped.")
    until(lambda: said(installation).count("is ready at") > before, "the word that it is ready")


def all_gone(installation: Installation) -> bool:
    return not family(installation)


def slide_ids(installation: Installation) -> list[str]:
    with installation.client() as client:
        return [each["id"] for each in client.get("/slides").raise_for_status().json()["items"]]


def try_up(installation: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", "up", *words],
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_first_start_to_second_start(
    installation: Installation, make_phantom: Callable[..., Phantom], tmp_path: Path
) -> None:
    start(installation)
    up = installation.processes["up"]
    address = f"http://127.0.0.1:{installation.port}"
    assert f"ready at {address}" in said(installation)

    # the link lets one person in, once
    (link,) = re.findall(rf"{address}/\?sign_in=(\S+)", said(installation))
    entered = httpx.post(f"{installation.url}/session", json={"link": link})
    assert entered.status_code == 200
    again = httpx.post(f"{installation.url}/session", json={"link": link})
    assert (again.status_code, again.json()["code"]) == (401, "link_not_valid")
    page = httpx.get(address)
    assert page.status_code == 200

    # neither the folder nor the port is shared
    data = ("--data", str(installation.data))
    second = try_up(installation, *data, "--port", "0")
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.endswith("(data_folder_in_use)\n")
    other = ("--data", str(tmp_path / "other"))
    third = try_up(installation, *other, "--port", str(installation.port))
    assert (third.returncode, third.stdout) == (1, "")
    assert third.stderr.endswith("(port_in_use)\n")

    # a dead child is replaced
    killed = until(lambda: installation.workers("cpu"), "the worker")[0]
    installation.kill_worker("cpu")
    until(
        lambda: any(each.pid != killed.pid for each in installation.workers("cpu")),
        "another worker",
        60,
    )
    assert "The worker cpu ended (-9)" in said(installation)

    path, _ = make_phantom(21, 768)
    with installation.client() as client:
        sent = client.post("/slides", files={"file": path.open("rb")}).raise_for_status()
    whole = family(installation)
    assert len(whole) > 1 + 1 + len(QUEUES)

    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 0
    assert all_gone(installation)
    assert "Stopped." in said(installation)

    start(installation)
    assert slide_ids(installation) == [sent.json()["id"]]
    assert said(installation).count("sign_in=") == 1, "the second start makes no admin"
    # Ctrl-C in a terminal reaches the foreground process
    installation.processes["up"].send_signal(signal.SIGINT)
    assert installation.processes["up"].wait(60) == 0
    assert all_gone(installation)


def test_a_power_cut_leaves_no_orphan_and_no_lock(installation: Installation) -> None:
    start(installation)
    assert len(family(installation)) > 1 + 1 + len(QUEUES)
    os.kill(installation.processes["up"].pid, signal.SIGKILL)
    installation.processes["up"].wait()
    until(lambda: all_gone(installation), "the children to end with `up`", 30)

    installation.start()
    installation.ready()
    assert slide_ids(installation) == []
    installation.stop()
    assert all_gone(installation)


def share_proposed(client: httpx.Client, patch_id: str) -> float:
    answer = client.get(f"/patches/{patch_id}/proposal.png").raise_for_status()
    return float((pixels(answer.content) > 0).mean())


def proposed_on_a_core(client: httpx.Client, path: Path) -> None:
    """Upload a real core, see what the starter proposes, and delete it again."""
    slide_id = upload(client, path)["id"]
    if ingested(client, slide_id)["state"] == "needs_mpp":
        client.patch(f"/slides/{slide_id}", json={"mpp": 0.22}).raise_for_status()
        assert ingested(client, slide_id, "ready", "failed")["state"] == "ready"
    idle(client)
    patches = patches_of(client, slide_id)
    assert {each["model_version"] for each in patches} == {shipped().name}
    shares = [share_proposed(client, each["id"]) for each in patches[::SAMPLED]]
    if "3plus" in path.name:
        assert max(shares) > 0.1, "it finds the membranes of a strongly stained core"
    if "tma_0" in path.name:
        assert sum(shares) / len(shares) < 0.01, "and hardly any where there are none"
    client.delete(f"/slides/{slide_id}").raise_for_status()


def test_demo_brings_one_synthetic_slide(
    installation: Installation, real_slides: list[Path]
) -> None:
    """The starter proposes from the first minute, on the demo slide and on a real core."""
    installation.commands["up"].append("--demo")
    installation.env["MEMBRANA_FIRST_MODEL"] = "starter"
    for number in range(2):
        start(installation)
        (slide_id,) = until(lambda: slide_ids(installation), "the demo slide", 180)
        with installation.client() as client:
            slide = ingested(client, slide_id)
            assert (slide["state"], slide["synthetic"]) == ("ready", True)
            idle(client)
            patches = patches_of(client, slide_id)
            versions = client.get("/model-versions").raise_for_status().json()["items"]
        assert any(each["uncertainty"] for each in patches), "it comes with proposals"
        states = {each["name"]: each["state"] for each in versions}
        assert states == {shipped().name: "active", "cold-start": "candidate"}
        assert {each["model_version"] for each in patches} == {shipped().name}
        if number == 0:
            with installation.client() as client:
                for path in real_slides:
                    proposed_on_a_core(client, path)
        installation.stop()
        assert all_gone(installation)
    assert said(installation).count("Making a demo slide (synthetic") == 1
    assert not list(installation.data.glob("demo-synthetic*"))
    with contextlib.closing(sqlite3.connect(installation.data / "membrana.db")) as database:
        ended = "SELECT revoked_at IS NOT NULL FROM api_tokens WHERE name = 'demo slide'"
        assert set(database.execute(ended)) == {(1,)}
