"""Ingest of a 20,000×20,000 phantom: seconds and peak memory, in a process of its own.

Three files of the same pixels: a pyramid; one large level (levels are made); a plain TIFF
(converted). `python -m benchmarks.ingest [--side 20000] [--slide FILE]`
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import record

KINDS = ("pyramid", "one_level", "plain_tiff")


def make(slide: Path, kind: str, folder: Path) -> Path:
    """Write the same pixels as another kind of file."""
    if kind == "pyramid":
        return slide
    import pyvips

    target = folder / f"{kind}.tif"
    image = pyvips.Image.new_from_file(str(slide), access="sequential")
    how = {"tile": True, "tile_width": 256, "tile_height": 256} if kind == "one_level" else {}
    image.tiffsave(str(target), compression="jpeg", Q=90, bigtiff=True, **how)
    return target


def ingest(slide: Path, folder: Path) -> None:
    """Run in the child: a fresh installation takes one slide; prints what it cost."""
    os.environ["MEMBRANA_DATA"] = str(folder)
    from backend.jobs.tables import Job
    from backend.kit.db.migrate import upgrade
    from backend.kit.db.session import get_database
    from backend.kit.storage.blobs import Blobs
    from backend.people.users.tables import Role, User
    from backend.settings import get_settings
    from backend.slides.catalogue import service as slides
    from backend.slides.uploads import service as uploads
    from backend.slides.uploads.receiving import upload_path
    from worker.predictors import register_cold_start
    from worker.run import run_job

    upgrade()
    settings = get_settings()
    database = get_database(settings.sqlalchemy_url)
    with database.writing() as session:
        register_cold_start(session, Blobs(settings.blob_folder))
        user = User(name="benchmark", role=Role.ADMIN)
        session.add(user)
        session.flush()
        owner = user.id
    part = upload_path(settings, "benchmark")
    part.parent.mkdir(parents=True)
    os.link(slide, part)
    facts = uploads.Received(slide.name, None, None, 0.25, owner)
    start = time.perf_counter()
    slide_id, _ = uploads.make_slide(database, settings, part, facts)
    received = time.perf_counter()
    with database.reading() as session:
        job = session.query(Job).one()
    run_job(job.id, settings)
    end = time.perf_counter()
    with database.reading() as session:
        row = slides.get(session, slide_id)
        assert row.state == "ready", row.problem
    print(
        json.dumps(
            {
                "receive_seconds": round(received - start, 2),
                "ingest_seconds": round(end - received, 2),
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "patches": row.patch_count,
                "width": row.width,
                "height": row.height,
            }
        )
    )


def measure(slide: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.ingest", "--child", str(folder / "data")]
    done = subprocess.run(
        [*command, "--slide", str(slide)], check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--slide", type=Path, help="a phantom made before")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        asked.child.mkdir(parents=True)
        ingest(asked.slide.resolve(), asked.child)
        return
    figures: dict[str, object] = {}
    with TemporaryDirectory(dir=asked.slide.parent if asked.slide else None) as name:
        folder = Path(name)
        slide = asked.slide
        if slide is None:
            from models.phantom import PhantomSpec, write

            slide = folder / "phantom.tif"
            write(PhantomSpec(width=asked.side, height=asked.side, seed=1), slide)
        for kind in KINDS:
            place = folder / kind
            place.mkdir()
            figures[kind] = measure(make(slide, kind, place), place)
            print(kind, figures[kind], flush=True)
    record("ingest", {"goal_mib": 1024, "files": figures})


if __name__ == "__main__":
    main()
