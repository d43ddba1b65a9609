"""The product in one test: slides in, patches corrected, a better model; nothing overwritten."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Phantom
from tests.support.installation import Installation, embedded, finished, production, until
from tests.support.pathologist import Pathologist, idle, ingested, patches_of, upload

pytestmark = pytest.mark.slow
MARGIN = 0.05
"""By how much the promoted model's Dice exceeds the cold start's on the patches that nobody
touched. It was 0.10 over a stain rule that reached 0.52 where it reaches 0.64 now that it leaves
what is not brown: what is asked of the model is more than before (seed 1: 0.639 → 0.734)."""

GOLD_MARGIN = 0.05
"""The same on gold, five patches here. Measured with two: +0.130, +0.403, +0.173."""

SIDE = 3072
CORRECTED = 25
SETTINGS = {
    "MEMBRANA_THREADS": "1",
    "MEMBRANA_ROUND_UNLABELLED": "60",
    # one round, when the fifth held-out patch is there: as many as a verdict needs
    "MEMBRANA_ROUND_ANNOTATIONS": "20",
}


@pytest.fixture(params=["embedded", "production"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    data = tmp_path / "data"
    if request.param == "embedded":
        return embedded(data, **SETTINGS)
    urls = [request.getfixturevalue(name) for name in ("fresh_postgresql", "redis_url")]
    return production(data, *urls, **SETTINGS)


@pytest.mark.parametrize(
    ("installation", "seed"),
    [("embedded", 1), ("embedded", 2), ("production", 3)],
    indirect=["installation"],
)
def test_corrections_make_a_better_model(
    installation: Installation,
    seed: int,
    make_phantom: Callable[..., Phantom],
    real_slides: list[Path],
    record_property: Callable[[str, object], None],
) -> None:
    path, truth = make_phantom(seed, SIDE)
    with installation.running(), installation.client() as client:
        slide = ingested(client, upload(client, path)["id"])
        assert slide["state"] == "ready", slide
        assert slide["synthetic"]
        real = [upload(client, each)["id"] for each in real_slides]
        for slide_id in real:
            if ingested(client, slide_id)["state"] == "needs_mpp":
                client.patch(f"/slides/{slide_id}", json={"mpp": 0.25}).raise_for_status()
                assert ingested(client, slide_id, "ready", "failed")["state"] == "ready"
        idle(client)

        pathologist = Pathologist(client, slide["id"], truth)
        masks = pathologist.correct(CORRECTED)
        # twenty of them are for training: enough, so the round starts by itself
        rounds = client.get("/rounds").raise_for_status().json()["items"]
        assert len(rounds) == 1, rounds
        end = {"promoted", "kept_back", "not_judged", "abandoned"}
        done = until(finished(client, f"/rounds/{rounds[0]['id']}", end), "the round to end")
        assert done["state"] == "promoted", done
        idle(client)

        versions = client.get("/model-versions").raise_for_status().json()["items"]
        cold = next(each for each in versions if each["kind"] == "cold-start")
        active = next(each for each in versions if each["state"] == "active")
        assert active["id"] == done["model_version_id"]
        gold = done["metrics"]["gold"]
        assert gold["candidate"]["dice"] >= gold["active"]["dice"] + GOLD_MARGIN, gold

        untouched = [p for p in patches_of(client, slide["id"]) if p["id"] not in masks]
        before = pathologist.dice(cold["id"], untouched)
        after = pathologist.dice(active["id"], untouched)
        record_property("dice", {"cold start": before, "promoted": after, "gold": gold})
        assert after >= before + MARGIN

        assert pathologist.masks(list(masks)) == masks
        for slide_id in [slide["id"], *real]:
            predicted = {p["model_version_id"] for p in patches_of(client, slide_id)}
            assert predicted == {active["id"]}, "every slide is seen by the promoted model"
