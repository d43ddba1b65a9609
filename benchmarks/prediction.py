"""Prediction of a slide: patches/s of the whole job against the bare network, same batch.

Both in one process, in turns, the median of the turns' ratios. `python -m benchmarks.prediction
[--side 3072] [--turns 3] [--threads 2]`. Goal: ≥ 0.9.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import record

SEED = 0


def installation(folder: Path, slide: Path, threads: int):
    """Make a database with one ready slide and one trained version; return what runs its job."""
    os.environ["MEMBRANA_DATA"] = str(folder)
    os.environ["MEMBRANA_THREADS"] = str(threads)
    import openslide
    import torch

    from backend.db.migrate import upgrade
    from backend.db.session import get_database
    from backend.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
    from backend.patches.grid import grid_shape, patch_region
    from backend.patches.tables import Patch
    from backend.settings import get_settings
    from backend.slides.tables import Slide, SlideState
    from backend.storage.blobs import Blobs, file_sha256
    from models.networks import Ensemble, NetworkConfig, build, save_ensemble

    folder.mkdir()
    upgrade()
    settings = get_settings()
    blobs = Blobs(settings.blob_folder)
    torch.manual_seed(SEED)
    config = NetworkConfig()
    ensemble = Ensemble(config, build(config), (build(config), build(config)))
    weights = folder / "weights.safetensors"
    sha256 = save_ensemble(ensemble, weights)
    blobs.adopt(weights, sha256)
    slide_sha256 = blobs.put(slide.read_bytes())
    with openslide.OpenSlide(slide) as opened:
        width, height = opened.dimensions
    row = Slide(
        state=SlideState.READY,
        name="benchmark",
        sha256=file_sha256(blobs.path(slide_sha256)),
        byte_size=slide.stat().st_size,
        synthetic=True,
        width=width,
        height=height,
        mpp=settings.analysis_mpp,
    )
    version = ModelVersion(
        name="benchmark",
        kind=ModelKind.EUGMT,
        state=ModelVersionState.ACTIVE,
        weights_sha256=sha256,
        config={},
    )
    database = get_database(settings.sqlalchemy_url)
    rows, columns = grid_shape(row, settings.analysis_mpp)
    with database.writing() as session:
        session.add_all([row, version])
        session.flush()
        for place in range(rows * columns):
            y, x = divmod(place, columns)
            box = patch_region(row, y, x, settings.analysis_mpp)
            session.add(
                Patch(
                    slide_id=row.id,
                    row=y,
                    column=x,
                    x0=box.x,
                    y0=box.y,
                    size0=box.width,
                    tissue_fraction=1.0,
                )
            )
    return settings, database, row, version, rows * columns


def bare_rate(predictor, slide: Path, count: int) -> float:
    """Patches/s of the networks' forward alone: tensors prepared, nothing read or kept."""
    import numpy as np
    import openslide
    import torch

    with openslide.OpenSlide(slide) as opened:
        field = np.asarray(opened.read_region((0, 0), 0, (2048, 2048)))[..., :3]
    patches = field.reshape(8, 256, 8, 256, 3).swapaxes(1, 2).reshape(64, 256, 256, 3)
    size = predictor.batch_size
    batches = [
        predictor.prepared(np.ascontiguousarray(patches[start : start + size]))
        for start in range(0, len(patches), size)
    ]
    began = time.perf_counter()
    done = 0
    with torch.inference_mode():
        while done < count:
            pixels = batches[done // size % len(batches)]
            for network in predictor.networks:
                network(pixels)
            done += len(pixels)
    return done / (time.perf_counter() - began)


def job_rate(settings, database, slide, version, count: int) -> float:
    """Patches/s of the job from its start to its last row, ranking included."""
    from backend.jobs import service as jobs
    from backend.jobs.tables import JobState
    from backend.predictions import service as predictions
    from worker.run import run_job

    with database.writing() as session:
        predictions.forget(session, slide, settings)
    with database.writing() as session:
        job_id = predictions.request(session, slide.id, model_version_id=version.id).id
    began = time.perf_counter()
    run_job(job_id, settings)
    seconds = time.perf_counter() - began
    with database.reading() as session:
        job = jobs.get(session, job_id)
        assert job.state == JobState.SUCCEEDED, job.problem
    return count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=3072)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    from models.phantom import PhantomSpec, write

    with TemporaryDirectory() as name:
        slide_file = Path(name) / "phantom.tif"
        spec = PhantomSpec(width=arguments.side, height=arguments.side, seed=SEED)
        write(spec, slide_file)
        parts = installation(Path(name) / "data", slide_file, arguments.threads)
        settings, database, slide, version, count = parts
        from worker.context import Blobs
        from worker.predictors import trained

        path = Blobs(settings.blob_folder).path(version.weights_sha256)
        predictor = trained(path, version.weights_sha256, settings.threads)
        bare_rate(predictor, slide_file, 64)
        turns = []
        for _ in range(arguments.turns):
            bare = bare_rate(predictor, slide_file, count)
            job = job_rate(settings, database, slide, version, count)
            turns.append({"bare": round(bare, 2), "job": round(job, 2), "ratio": job / bare})
        database.dispose()
    record(
        "prediction",
        {
            "side_px": arguments.side,
            "patches": count,
            "seed": SEED,
            "network": "unet-small, teacher and two students",
            "batch": predictor.batch_size,
            "threads": arguments.threads,
            "turns": turns,
            "ratio": round(statistics.median(turn["ratio"] for turn in turns), 3),
            "goal": 0.9,
        },
    )


if __name__ == "__main__":
    main()
