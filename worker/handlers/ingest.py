"""From a received file to patches: open, measure, look, write the grid, ask for proposals.

Every step may be repeated: a worker that dies leaves whole files and whole batches of rows, and
the next one goes on from there to the same end.
"""

from functools import partial
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from backend.kit.db.outbox import after_commit
from backend.kit.states import move, move_or_conflict
from backend.learning.predictions import service as predictions
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide, SlideState
from backend.slides.patches import installed_grid
from backend.slides.patches.tables import Patch
from worker.context import JobContext
from worker.facts import Facts, Opened
from worker.opening import opened
from worker.survey import Survey, survey

BATCH = 1000
SURVEYED = 0.8
"""How much of an ingest is over when the patches are known, for the progress shown."""


def run(ctx: JobContext) -> None:
    slide = begin(ctx)
    if slide is None:
        return
    with opened(ctx, slide) as source:
        slide = record(ctx, source)
        if slide.mpp is None:
            ask_pixel_size(ctx, source.facts.doubt)
            return
        ctx.check()
        tissue = survey(
            source.reader,
            slide,
            analysis_mpp=ctx.settings.analysis_mpp,
            min_tissue_fraction=ctx.settings.min_tissue_fraction,
            damaged=source.reader.damaged_regions,
        )
    write_patches(ctx, slide, tissue.rows)
    finish(ctx, tissue, source.facts)


def begin(ctx: JobContext) -> Slide | None:
    """Mark the slide as being read; None if there is nothing left to do."""
    with ctx.writing() as session:
        slide = slides.get(session, ctx.subject)
        if slide.state != SlideState.INGESTING and not move(
            session, Slide, slide.id, SlideState.INGESTING, problem=None
        ):
            return None
        session.refresh(slide)
        return slide


def record(ctx: JobContext, source: Opened) -> Slide:
    """Write what the file says of itself; a pixel size that a person gave stays.

    If it is read otherwise than before, what was computed on the former pixels goes.
    """
    facts = source.facts
    with ctx.writing() as session:
        slide = slides.get(session, ctx.subject)
        before = slide.derived_key, slide.width, slide.height
        if slide.width and before != (source.derived_key, facts.width, facts.height):
            forget_reading(ctx, session, slide, source.derived_key)
        values: dict[str, Any] = {
            "width": facts.width,
            "height": facts.height,
            "vendor": facts.vendor,
            "objective_power": facts.objective_power,
            "synthetic": facts.synthetic,
            "derived_key": source.derived_key,
            "damaged_tiles": [list(tile) for tile in source.reader.damaged],
        }
        if slide.mpp_source != "person":
            values |= {"mpp": facts.mpp, "mpp_source": "file" if facts.mpp else None}
        session.execute(update(Slide).where(Slide.id == slide.id).values(**values))
        session.refresh(slide)
        return slide


def forget_reading(ctx: JobContext, session: Session, slide: Slide, key: str | None) -> None:
    predictions.forget(session, slide, ctx.settings)
    session.execute(delete(Patch).where(Patch.slide_id == slide.id))
    former = slide.derived_key
    if former and former != key and former.endswith(".tif"):
        path = ctx.settings.slide_folder / former
        after_commit(session, partial(path.unlink, missing_ok=True))


def ask_pixel_size(ctx: JobContext, doubt: str) -> None:
    """Wait for a person's word, and tell them what of the file's is not believed, if anything."""
    problem = {"code": "pixel_size_doubtful", "detail": doubt} if doubt else None
    with ctx.finishing() as session:
        move_or_conflict(
            session,
            Slide,
            ctx.subject,
            SlideState.NEEDS_MPP,
            "The slide changed meanwhile.",
            problem=problem,
        )


def write_patches(ctx: JobContext, slide: Slide, rows: list[dict[str, Any]]) -> None:
    """Insert the patches that are not there yet, in batches."""
    known = known_places(ctx, slide, rows)
    missing = [row for row in rows if (row["row"], row["column"]) not in known]
    for start in range(0, len(missing), BATCH):
        ctx.check()
        batch = [{**row, "slide_id": slide.id} for row in missing[start : start + BATCH]]
        with ctx.writing() as session:
            session.execute(insert(Patch), batch)
        share = (start + len(batch)) / len(missing)
        ctx.progress(SURVEYED + (1 - SURVEYED) * share, "Writing patches")


def known_places(ctx: JobContext, slide: Slide, rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return where the slide has patches; ones of another grid go, with what was seen on them."""
    wanted = {(row["row"], row["column"]): row["size0"] for row in rows}
    with ctx.writing() as session:
        installed_grid.hold(session, ctx.settings.analysis_mpp)
        places = session.execute(
            select(Patch.row, Patch.column, Patch.size0, Patch.tissue_fraction).where(
                Patch.slide_id == slide.id
            )
        ).all()
        same_grid = all(
            # without tissue: a person made it where nobody else would
            tissue is None or wanted.get((row, column)) == size0
            for row, column, size0, tissue in places
        )
        if same_grid:
            return {(row, column) for row, column, _, _ in places}
        predictions.forget(session, slide, ctx.settings)
        session.execute(delete(Patch).where(Patch.slide_id == slide.id))
    return set()


def finish(ctx: JobContext, tissue: Survey, facts: Facts) -> None:
    """Make the slide ready and ask for its proposals, in one transaction."""
    with ctx.finishing() as session:
        move_or_conflict(
            session,
            Slide,
            ctx.subject,
            SlideState.READY,
            "The slide changed meanwhile.",
            patch_count=len(tissue.rows),
            tissue_fraction=tissue.tissue_fraction,
            white_point=tissue.white_point,
            qc=[*facts.qc, *tissue.qc],
            problem=None,
        )
        if tissue.rows:
            predictions.request(session, ctx.settings, ctx.subject)
