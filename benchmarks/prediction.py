"""Prediction of a slide: patches/s of the whole job against the bare networks, and its tiles' cost.

All in one process, in turns, the median of the turns' ratios; a turn's job stands between two
measurements of the networks, as the machine may have other work: the networks see patches, four at
a time. `tiles`: reading, predicting and writing in blended tiles against patches edge to edge, as
it was before; two of the one stand around each of the other. `python -m benchmarks.prediction
[--side 3072] [--turns 3] [--threads 2] [--check]`. Goals: the job's networks take at least 0.9 of
its time, with the tiles' overlap counted as their work; blended tiles cost a tenth at most.
"""

import argparse
import os
import statistics
import sys
import time
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.record import record
from benchmarks.tiles_cost import DEAREST, cost_of_tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from backend.kit.db.session import Database
    from backend.learning.model_versions.tables import ModelVersion
    from backend.settings import Settings
    from backend.slides.catalogue.tables import Slide
    from models.networks import SmallUNet
    from models.prediction import Predictor

    Images = npt.NDArray[np.uint8]

SEED = 0
GOAL = 0.9
STRAY = 0.005
"""How far the students' weights are from the teacher's, in units of an ordinary weight."""


def installation(
    folder: Path, slide: Path, threads: int
) -> "tuple[Settings, Database, Slide, ModelVersion, int]":
    """Make a database with one ready slide and one trained version; return what runs its job."""
    os.environ["MEMBRANA_DATA"] = str(folder)
    os.environ["MEMBRANA_THREADS"] = str(threads)
    import openslide
    import torch

    from backend.kit.db.migrate import upgrade
    from backend.kit.db.session import get_database
    from backend.kit.storage.blobs import Blobs, file_sha256
    from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
    from backend.settings import get_settings
    from backend.slides.catalogue.tables import Slide, SlideState
    from backend.slides.patches.grid import grid_shape, patch_region
    from backend.slides.patches.tables import Patch
    from models.networks import Ensemble, NetworkConfig, SmallUNet, build, save_ensemble

    folder.mkdir()
    upgrade()
    settings = get_settings()
    blobs = Blobs(settings.blob_folder)
    torch.manual_seed(SEED)
    config = NetworkConfig()
    teacher = build(config)
    assert isinstance(teacher, SmallUNet)
    see_membrane(teacher, patches_of(slide)[::8])
    ensemble = Ensemble(config, teacher, (alike(teacher), alike(teacher)))
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


def patches_of(slide: Path) -> "Images":
    """Read the slide's upper left shard: uint8 (64, 256, 256, 3)."""
    import numpy as np
    import openslide

    with openslide.OpenSlide(slide) as opened:
        field = np.asarray(opened.read_region((0, 0), 0, (2048, 2048)))[..., :3]
    return np.ascontiguousarray(
        field.reshape(8, 256, 8, 256, 3).swapaxes(1, 2).reshape(64, 256, 256, 3)
    )


def see_membrane(network: "SmallUNet", images: "Images") -> None:
    """Shift an untrained network's last bias until it calls a tenth of the pixels membrane.

    Else it sees none at all, and the selector, which is a part of the job, has nothing to do.
    """
    import torch

    from models.augment import MEAN, STD

    network.eval()
    with torch.inference_mode():
        pixels = (torch.from_numpy(images) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        logits = network(pixels.permute(0, 3, 1, 2))
        lead = (logits[:, 1] - logits[:, 0]).flatten()[::16].quantile(0.9)
    with torch.no_grad():
        assert network.head.bias is not None
        background, _ = network.head.bias.chunk(2)
        background += lead


def alike(network: "nn.Module") -> "nn.Module":
    """Copy a network with weights that are a little off: students agree with their teacher."""
    import torch

    copy = deepcopy(network)
    with torch.no_grad():
        for weights in copy.parameters():
            weights.add_(torch.randn_like(weights), alpha=STRAY * weights.abs().mean().item())
    return copy


def bare(predictor: "Predictor") -> "tuple[Callable[[Images], Any], Callable[[Any], object]]":
    """Return what runs the networks alone on a batch: no reading, no copy out, no selector.

    In torch they are called on tensors that are prepared before; in OpenVINO normalisation and
    sigmoid are parts of the one compiled graph.
    """
    import torch

    from models.inference import TorchPredictor
    from models.inference.openvino_backend import OpenVinoPredictor

    if isinstance(predictor, OpenVinoPredictor):
        return lambda images: images, predictor.forward
    assert isinstance(predictor, TorchPredictor)
    opinions = predictor.opinions

    def prepared(images: "Images") -> "Tensor":
        return opinions.prepared(torch.from_numpy(images))

    @torch.inference_mode()
    def forward(pixels: "Tensor") -> None:
        for network in opinions.networks:
            network(pixels)

    return prepared, forward


def bare_rate(predictor: "Predictor", slide: Path, count: int) -> float:
    """Patches/s of the networks alone."""
    patches, size = patches_of(slide), predictor.batch_size
    prepared, forward = bare(predictor)
    batches = [prepared(patches[start : start + size]) for start in range(0, len(patches), size)]
    began = time.perf_counter()
    done = 0
    while done < count:
        forward(batches[done // size % len(batches)])
        done += size
    return done / (time.perf_counter() - began)


def job_rate(
    settings: "Settings", database: "Database", slide: "Slide", version: "ModelVersion", count: int
) -> float:
    """Patches/s of the job from its start to its last row, ranking included."""
    from backend.jobs import service as jobs
    from backend.jobs.tables import JobState
    from backend.learning.predictions import service as predictions
    from worker.run import run_job

    with database.writing() as session:
        predictions.forget(session, slide, settings)
    with database.writing() as session:
        job_id = predictions.request(session, settings, slide.id, model_version_id=version.id).id
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
    parser.add_argument("--check", action="store_true", help="exit 1 if the goal is missed")
    arguments = parser.parse_args()
    from models.phantom import PhantomSpec, write

    with TemporaryDirectory() as name:
        slide_file = Path(name) / "phantom.tif"
        spec = PhantomSpec(width=arguments.side, height=arguments.side, seed=SEED)
        write(spec, slide_file)
        parts = installation(Path(name) / "data", slide_file, arguments.threads)
        settings, database, slide, version, count = parts
        from backend.kit.storage.blobs import Blobs
        from worker.predictors import trained

        assert version.weights_sha256 is not None
        path = Blobs(settings.blob_folder).path(version.weights_sha256)
        predictor = trained(path, version.weights_sha256, settings.threads)
        # the first job of a process imports what a worker has imported long ago
        job_rate(settings, database, slide, version, count)
        turns = []
        before = bare_rate(predictor, slide_file, count)
        for _ in range(arguments.turns):
            job = job_rate(settings, database, slide, version, count)
            after = bare_rate(predictor, slide_file, count)
            networks = statistics.harmonic_mean([before, after])
            turns.append(
                {
                    "bare": round(networks, 2),
                    "job": round(job, 2),
                    "ratio": round(job / networks, 3),
                }
            )
            before = after
        tiles = cost_of_tiles(settings, database, slide, version, turns=arguments.turns)
        database.dispose()
    ratio = round(statistics.median(turn["ratio"] for turn in turns), 3)
    record(
        "prediction",
        {
            "side_px": arguments.side,
            "patches": count,
            "seed": SEED,
            "network": "unet-small, teacher and two students",
            "backend": predictor.backend,
            "batch": predictor.batch_size,
            "threads": arguments.threads,
            "turns": turns,
            "ratio": ratio,
            "goal": GOAL,
            "tiles": tiles,
        },
    )
    if arguments.check and (ratio * tiles["area"] < GOAL or tiles["ratio"] > DEAREST):
        sys.exit(1)


if __name__ == "__main__":
    main()
