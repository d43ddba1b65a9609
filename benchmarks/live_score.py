"""Seconds from an edit to the live HER2 score that follows it, on a slide of 100,000 cells.

`python -m benchmarks.live_score [--repeat 5] [--times 5] [--profile] [--work FOLDER]`. A phantom's
block of 4096² px is laid side by side `repeat` × `repeat` times as a JPEG pyramid; its true masks
stand for a prediction. Each edit goes through the API, and its job through the worker's code, both
in this process on SQLite: what a queue and a browser add is not in here. Goal: ≤ 1 s.
"""

import argparse
import cProfile
import io
import os
import pstats
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyvips
from PIL import Image

from benchmarks.record import record
from models.phantom import PhantomSpec, region
from models.phantom.tumour import richest_place

BLOCK_PX = 4096
GOAL_S = 1.0
MARGIN_PX = 6000
"""Right of the tumour: into there its edge is pulled."""
EDGE_PX = 400
"""0.1 mm, by which an edge is pulled."""
SHOWN = 25


@dataclass
class Installation:
    """A service with one slide, its rows and its worker's code, in this process."""

    client: Any
    database: Any
    settings: Any
    slide_id: str
    side: int

    def edit(self, method: str, path: str, **what: Any) -> Any:
        answer = self.client.request(method, path, **what)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer

    def do_jobs(self) -> None:
        """Do the score's jobs as a worker does."""
        from sqlalchemy import select

        from backend.job_kinds import JobKind
        from backend.jobs.tables import Job, JobState
        from worker.run import run_job

        waiting = select(Job.id).where(Job.state == JobState.QUEUED, Job.kind == JobKind.SCORE)
        with self.database.reading() as session:
            jobs = list(session.scalars(waiting))
        for job_id in jobs:
            run_job(job_id, self.settings)
        assert self.score()["state"] == "current", self.score()

    def score(self) -> Any:
        return self.client.get(f"/slides/{self.slide_id}/score").json()


def block() -> tuple[np.ndarray, np.ndarray]:
    """A phantom's RGB and its membrane, bool, both of BLOCK_PX²."""
    spec = PhantomSpec(seed=11, her2="2+", outline=False, tumour=0.9, out_of_focus=0.0)
    drawn = region(spec, *richest_place(spec, BLOCK_PX), BLOCK_PX, BLOCK_PX)
    return drawn.image, drawn.mask > 0


def installed(folder: Path, image: np.ndarray, mask: np.ndarray, repeat: int) -> Installation:
    os.environ |= {"MEMBRANA_DATA": str(folder), "MEMBRANA_ROUND_ANNOTATIONS": "0"}
    from starlette.testclient import TestClient

    from backend.app import create_app
    from backend.kit.db.migrate import upgrade
    from backend.kit.db.session import get_database
    from backend.kit.storage import pyramids
    from backend.kit.storage.blobs import Blobs
    from backend.kit.storage.pyramids import SHARD_PX, Channel
    from backend.learning.model_versions import service as model_versions
    from backend.learning.predictions import results
    from backend.people.users import service as auth
    from backend.people.users.tables import Role
    from backend.settings import get_settings
    from worker.predictors import register_cold_start

    folder.mkdir(parents=True)
    upgrade()
    settings = get_settings()
    database, blobs, side = (
        get_database(settings.sqlalchemy_url),
        Blobs(settings.blob_folder),
        BLOCK_PX * repeat,
    )
    slide = added_slide(database, settings, blobs, image, repeat)
    with database.writing() as session:
        register_cold_start(session, blobs)
        version = model_versions.active(session)
        token = auth.create_token(
            session, auth.create_user(session, name="benchmark", role=Role.ADMIN), name="benchmark"
        )
    pyramid = pyramids.create(
        pyramids.folder_of(settings.pyramid_folder, slide.sha256, version.id),
        (side, side),
        settings.analysis_mpp,
    )
    count = side // SHARD_PX
    with database.writing() as session:
        prediction = results.begin(
            session,
            slide_id=slide.id,
            model_version_id=version.id,
            shard_count=count**2,
            tiling="benchmark",
        )
        for row in range(count):
            for column in range(count):
                top, left = row * SHARD_PX % BLOCK_PX, column * SHARD_PX % BLOCK_PX
                pixels = np.zeros((len(Channel), SHARD_PX, SHARD_PX), np.uint8)
                likely = mask[top : top + SHARD_PX, left : left + SHARD_PX]
                pixels[Channel.PROBABILITY] = likely * np.uint8(255)
                sha256 = pyramid.write_shard(row, column, pixels)
                shard = results.Shard(row, column, sha256, [], {}, "benchmark")
                results.record_shard(session, prediction.id, shard)
        results.finish(session, settings, prediction)
    client = TestClient(create_app(settings), base_url="http://testserver/api/v1").__enter__()
    client.headers["Authorization"] = f"Bearer {token}"
    return Installation(client, database, settings, slide.id, side)


def added_slide(database: Any, settings: Any, blobs: Any, image: np.ndarray, repeat: int) -> Any:
    """Write the slide's file and its rows."""
    from backend.kit.storage.blobs import file_sha256
    from backend.slides.catalogue.tables import Slide, SlideState
    from backend.slides.patches.grid import grid_shape, patch_region
    from backend.slides.patches.tables import Patch

    path = settings.data / "slide.tif"
    whole = pyvips.Image.new_from_memory(image.tobytes(), BLOCK_PX, BLOCK_PX, 3, "uchar")
    whole.replicate(repeat, repeat).tiffsave(
        str(path), tile=True, pyramid=True, compression="jpeg", Q=90, tile_width=256,
        tile_height=256, bigtiff=True,
    )  # fmt: skip
    size, sha256 = path.stat().st_size, file_sha256(path)
    blobs.adopt(path, sha256)
    slide = Slide(
        state=SlideState.READY,
        name="benchmark",
        sha256=sha256,
        byte_size=size,
        synthetic=True,
        width=BLOCK_PX * repeat,
        height=BLOCK_PX * repeat,
        mpp=settings.analysis_mpp,
    )
    rows, columns = grid_shape(slide, settings.analysis_mpp)
    slide.patch_count = rows * columns
    with database.writing() as session:
        session.add(slide)
        session.flush()
        for place in range(rows * columns):
            row, column = divmod(place, columns)
            box = patch_region(slide, row, column, settings.analysis_mpp)
            session.add(
                Patch(
                    slide_id=slide.id, row=row, column=column, x0=box.x, y0=box.y,
                    size0=box.width, tissue_fraction=1.0,
                )
            )  # fmt: skip
        session.flush()
        session.expunge(slide)
    return slide


def tumour(right: float, bottom: float, pulled: float = 0, length: float = 0) -> dict[str, Any]:
    """A box from the slide's corner, of whose right edge a length is pulled by some px."""
    top, out = (bottom - length) / 2, right + pulled
    bump = [[right, top], [out, top], [out, top + length], [right, top + length]]
    ring = [[0, 0], [right, 0], *(bump if length else []), [right, bottom], [0, bottom], [0, 0]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"kind": "tumour"},
    }


def drawn(on: Installation, feature: dict[str, Any]) -> Callable[[], object]:
    path = f"/slides/{on.slide_id}/regions"
    tag = on.client.get(path).headers["ETag"]
    body = {"type": "FeatureCollection", "features": [feature]}
    return partial(on.edit, "PUT", path, json=body, headers={"If-Match": tag})


def masks(on: Installation) -> Iterator[Callable[[], object]]:
    """A person's mask in the middle of the slide, in another place each time."""
    patches = on.client.get(f"/slides/{on.slide_id}/patches", params={"limit": 1000}).json()[
        "items"
    ]
    middle = [each for each in patches if on.side * 0.1 < each["x"] < on.side * 0.9]
    for number, patch in enumerate(middle[7::61]):
        rng, mask = np.random.default_rng(number), np.zeros((256, 256), np.uint8)
        for at in rng.integers(8, 248, 8):
            mask[at - 3 : at + 3] = 255
            mask[:, at - 3 : at + 3] = 255
        content = io.BytesIO()
        Image.fromarray(mask).save(content, "PNG")
        sent = {"Content-Type": "image/png", "If-Match": f'"r{patch["revision"]}"'}
        path = f"/patches/{patch['id']}/annotation"
        yield partial(
            on.edit,
            "PUT",
            path,
            params={"source": "scratch"},
            content=content.getvalue(),
            headers=sent,
        )


def edges(on: Installation, step: float, length: float) -> Iterator[Callable[[], object]]:
    """So long a part of the tumour's right edge is pulled by `step` px, each time farther."""
    pulled = 0.0
    while True:
        pulled += step
        yield drawn(on, tumour(on.side - MARGIN_PX, on.side, pulled, length))


def decisions(on: Installation) -> Iterator[Callable[[], object]]:
    box = {"x": on.side / 2, "y": on.side / 2, "width": 1000, "height": 1000}
    cells = on.client.get(f"/slides/{on.slide_id}/cells", params=box).json()["items"]
    for cell in cells:
        one = {"x": cell["x"], "y": cell["y"], "action": "exclude"}
        body = {"decisions": [one], "reason": "no cell"}
        yield partial(on.edit, "POST", f"/slides/{on.slide_id}/cells/decisions", json=body)


def thresholds(on: Installation) -> Iterator[Callable[[], object]]:
    from backend.her2.scores.thresholds import SHARES, STEPS

    current = on.score()["document"]["protocol"]["thresholds"]
    own = {name: current[name] for name in (*STEPS, *SHARES)}
    number = 0
    while True:
        number += 1
        body = {"thresholds": own | {"t_intense": own["t_intense"] + 0.003 * number}}
        yield partial(on.edit, "PUT", f"/slides/{on.slide_id}/score", json=body)


def timed(
    on: Installation, edits: Iterator[Callable[[], object]], times: int, *, profile: bool
) -> dict[str, float]:
    """Return seconds of each edit until the score has followed it; a first one warms up."""
    walls, spent = [], []
    for number, edit in zip(range(times + 1), edits, strict=False):
        before, work = time.perf_counter(), time.process_time()
        edit()
        watch = cProfile.Profile() if profile and number == times else None
        if watch:
            watch.enable()
        on.do_jobs()
        if watch:
            watch.disable()
            pstats.Stats(watch).sort_stats("cumulative").print_stats(SHOWN)
        walls.append(time.perf_counter() - before)
        spent.append(time.process_time() - work)
    return {
        "median_s": round(statistics.median(walls[1:]), 3),
        "most_s": round(max(walls[1:]), 3),
        "processor_s": round(statistics.median(spent[1:]), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--work", type=Path, help="Keeps the phantom's block for another run.")
    asked = parser.parse_args()
    block_file = asked.work / "block.npz" if asked.work else None
    if block_file and block_file.is_file():
        with np.load(block_file) as file:
            image, mask = file["image"], file["mask"]
    else:
        image, mask = block()
        if block_file:
            block_file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(block_file, image=image, mask=mask)
    with TemporaryDirectory() as folder:
        on = installed(Path(folder) / "data", image, mask, asked.repeat)
        on.edit("POST", f"/slides/{on.slide_id}/regions", json=tumour(on.side - MARGIN_PX, on.side))
        on.edit("PUT", f"/slides/{on.slide_id}/score", json={})
        began, work = time.perf_counter(), time.process_time()
        on.do_jobs()
        first = {
            "wall_s": round(time.perf_counter() - began, 1),
            "processor_s": round(time.process_time() - work, 1),
        }
        cells = on.score()["document"]["cells"]
        print(f"{cells} cells in {first['wall_s']} s")
        times = {}
        for name, edits in (
            ("decision", decisions(on)),
            ("thresholds", thresholds(on)),
            ("mask", masks(on)),
            ("region_2_mm_edge_out_by_0.1_mm", edges(on, EDGE_PX, 8000)),
            ("region_2_mm_edge_in_by_0.1_mm", edges(on, -EDGE_PX, 8000)),
            ("region_whole_edge_out_by_0.1_mm", edges(on, EDGE_PX, on.side)),
        ):
            times[name] = timed(on, edits, asked.times, profile=asked.profile)
            print(name, times[name], flush=True)
        figures = {
            "cells": cells,
            "megapixels": round(on.side**2 / 1e6, 1),
            "times": asked.times,
            "first_score": first,
            "edits": times,
            "goal_s": GOAL_S,
            "load_average": round(os.getloadavg()[1], 1),
        }
        if asked.profile:
            print(figures)
        else:
            record("live_score", figures)


if __name__ == "__main__":
    main()
