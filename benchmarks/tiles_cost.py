"""What blended tiles cost against patches edge to edge: a part of `benchmarks.prediction`."""

import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.kit.db.session import Database
    from backend.learning.model_versions.tables import ModelVersion
    from backend.settings import Settings
    from backend.slides.catalogue.tables import Slide
    from models.tiling import Tiling

DEAREST = 1.1
"""How many times as long blended tiles may take as patches edge to edge."""


def stage_seconds(
    settings: "Settings",
    database: "Database",
    slide: "Slide",
    version: "ModelVersion",
    tiling: "Tiling",
) -> float:
    """Seconds from a shard's first pixel to the last one's row, in tiles of one kind."""
    from backend.jobs import service as jobs
    from backend.kit.storage import pyramids
    from backend.learning.predictions import service as predictions
    from backend.slides.patches.grid import analysis_size
    from worker.context import JobContext
    from worker.handlers import predict

    with database.writing() as session:
        predictions.forget(session, slide, settings)
    with database.writing() as session:
        job_id = predictions.request(session, settings, slide.id, model_version_id=version.id).id
    with database.writing() as session:
        job = jobs.claim(session, job_id, owner="benchmark", lease_seconds=3600)
    assert job is not None
    context = JobContext(job, owner="benchmark", database=database, settings=settings)
    work = predict.prepare(context)
    pyramid = pyramids.create(
        pyramids.folder_of(settings.pyramid_folder, slide.sha256, version.id),
        analysis_size(slide, settings.analysis_mpp),
        settings.analysis_mpp,
    )
    began = time.perf_counter()
    predict.predict(context, work, pyramid, tiling)
    seconds = time.perf_counter() - began
    with context.finishing():
        pass
    return seconds


def cost_of_tiles(
    settings: "Settings",
    database: "Database",
    slide: "Slide",
    version: "ModelVersion",
    *,
    turns: int,
) -> dict[str, Any]:
    """Let both tilings take turns; edge to edge stands before and after each blended one."""
    from models.tiling import BLENDED, EDGE_TO_EDGE

    def seconds(tiling: "Tiling") -> float:
        return stage_seconds(settings, database, slide, version, tiling)

    # graphs are compiled at the first time
    seconds(EDGE_TO_EDGE)
    seconds(BLENDED)
    rows = []
    before = seconds(EDGE_TO_EDGE)
    for _ in range(turns):
        blended = seconds(BLENDED)
        after = seconds(EDGE_TO_EDGE)
        edge = (before + after) / 2
        rows.append(
            {
                "edge_to_edge": round(edge, 2),
                "blended": round(blended, 2),
                "ratio": round(blended / edge, 3),
            }
        )
        before = after
    return {
        "seconds": rows,
        "ratio": round(statistics.median(row["ratio"] for row in rows), 3),
        "goal": DEAREST,
        "area": round((BLENDED.side / BLENDED.step) ** 2, 3),
    }
