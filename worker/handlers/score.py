"""Compute a slide's live score: again and again until no change is left that it has not seen."""

from dataclasses import dataclass, replace
from typing import Any

from backend.her2.scores import inputs, log
from backend.her2.scores import service as scores
from backend.her2.scores.service import Outdated
from backend.her2.scores.statements import Statements
from backend.her2.scores.tables import LiveScore
from backend.learning.queue import influence as influences
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from models.canonical import canonical
from models.her2.flags import Flag
from models.her2.protocols import Protocol
from worker.context import JobContext
from worker.her2 import decisions, influence, live, measurement, stopping
from worker.her2.checkpoint import Checkpoint
from worker.her2.document import Scored
from worker.her2.live import Changes

CHANGED = Flag(
    "thresholds_changed", "Thresholds are a what-if, not the protocol's: no report has them."
)


@dataclass(frozen=True)
class Task:
    """A slide's score with what its computation needs of the database, all of one moment."""

    row: LiveScore
    slide: Slide
    inputs: dict[str, Any]
    statements: Statements


def run(context: JobContext) -> None:
    while not followed(context):
        context.check()


def followed(context: JobContext) -> bool:
    """Compute the score as things are; return whether nothing has changed meanwhile."""
    task = read(context)
    scored, checkpoint, protocol = computed(context, task)
    blobs = context.blobs
    weighed = influence.weighed(
        task.slide,
        scored.cells,
        scored.included,
        scored.document,
        protocol,
        analysis_mpp=context.settings.analysis_mpp,
    )
    weights = influence.stopping_first(weighed, scored.document)
    score = scores.ComputedScore(
        wanted=task.row.wanted,
        inputs=task.inputs,
        files={
            "cells": blobs.put(checkpoint.index.document()),
            "state": blobs.put(checkpoint.state()),
            "document": blobs.put(canonical(scored.document)),
        },
        document=scored.document,
        changes=log.changes(task.row.inputs, task.inputs, blobs),
    )
    try:
        with context.finishing() as session:
            scores.keep(session, task.slide.id, score, last=True)
            influences.replace(session, task.slide.id, weights)
    except Outdated:
        with context.writing() as session:
            scores.keep(session, task.slide.id, score, last=False)
            influences.replace(session, task.slide.id, weights)
        return False
    return True


def read(context: JobContext) -> Task:
    with context.reading() as session:
        row = scores.find(session, context.subject)
        if row is None:
            raise scores.NoScore("The slide's score is not followed any more.")
        slide = slides.get(session, row.slide_id)
        wanted = inputs.ScoreRequest(protocol=row.protocol, gap=row.gap)
        frozen = inputs.freeze(session, context.blobs, context.settings, slide.id, wanted)
        statements = Statements.of(context.blobs, row)
        return Task(
            row, slide, frozen | {"merge_zero_plus": statements.merge_zero_plus}, statements
        )


def computed(context: JobContext, task: Task) -> tuple[Scored, Checkpoint, Protocol]:
    row, blobs = task.row, context.blobs

    def progress(done: int, total: int) -> None:
        context.check()
        context.progress(done / (total + 1), f"{done} of {total} parts measured")

    with measurement.opened(task.slide, task.inputs, blobs, context.settings) as plain:
        on = replace(plain, protocol=live.with_thresholds(plain.protocol, row.thresholds))
        before, changes = None, None
        if row.inputs and "state" in row.files:
            changes = live.changes_between(row.inputs, task.inputs, task.slide, blobs, on)
            if changes is not None:
                before = Checkpoint.read(blobs, row.files, live.basis_of(on))
        checkpoint = live.measured(
            on,
            before,
            changes or Changes(),
            blobs,
            threads=context.settings.threads,
            progress=progress,
        )
        measured = checkpoint.measurement(on)
        if row.thresholds:
            measured = replace(measured, flags=(*measured.flags, CHANGED))
        edits = decisions.edits(decisions.placed(checkpoint.cells, task.inputs, blobs))
        assay = task.statements.assay
        scored = measurement.scored(on, measured, edits, task.inputs, assay)
        scored.document["stop"] = stopping.of(on, scored, task.inputs, blobs, checkpoint.survey)
        return scored, checkpoint, on.protocol
