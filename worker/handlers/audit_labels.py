"""An audit: networks that never saw a mask say what they doubt in it.

Killed anywhere it is run again to the same end: snapshot and unlabelled draw are blobs, folds go
on from their checkpoints, and the findings are one transaction.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy.orm import Session

from backend.learning.annotations import masks
from backend.learning.label_issues import lifecycle
from backend.learning.label_issues.lifecycle import DoubtfulPiece, JudgedMask
from backend.learning.label_issues.tables import IssueKind, LabelAudit
from backend.learning.rounds import service as rounds
from backend.learning.rounds.snapshot import Snapshot
from backend.slides.patches.grid import PATCH_PX
from backend.slides.patches.tables import PatchRole
from models.label_issues import IGNORE, Component, Folding, PatchIssues, find, folding
from models.networks import NetworkError
from models.out_of_fold import Judgement, out_of_fold
from models.training import Stopped, TrainingConfig, TrainingDataError
from worker.context import JobContext
from worker.data import (
    Labelled,
    Place,
    choose_unlabelled,
    places_document,
    places_from,
    read_labelled,
    read_unlabelled,
)
from worker.handlers.train import TrainingRefused, config_of

log = logging.getLogger(__name__)
READ, JUDGED = 0.02, 0.95
"""Shares of the progress bar at which reading and judging are done."""


@dataclass(frozen=True)
class Plan:
    """What an audit does, frozen before its first step."""

    audit_id: str
    snapshot: Snapshot
    unlabelled: list[Place]
    config: TrainingConfig
    folds: int


def run(context: JobContext) -> None:
    """Judge the masks of the job's audit and write what is doubtful."""
    plan = open_plan(context)
    context.progress(0, "Reading annotated patches")
    labelled = read_labelled(
        context.database, context.blobs, context.settings, plan.snapshot.patches, context.check
    )
    dealt = deal(plan, labelled)
    try:
        judgement = judge(context, plan, labelled, dealt)
    except (NetworkError, TrainingDataError) as error:
        code = getattr(error, "code", TrainingRefused.code)
        raise TrainingRefused(str(error), code=code) from error
    write(context, plan, labelled, dealt, judgement)
    lifecycle.forget(context.settings, context.job_id)


def open_plan(context: JobContext) -> Plan:
    """Freeze what is still free, or read what an earlier attempt froze."""
    with context.reading() as session:
        audit = audit_of(session, context)
        rounds.require_encoder_weights(audit.config["encoder_weights"], audit.config["encoder"])
        frozen: dict[str, Any] = audit.config
        if "unlabelled_sha256" not in frozen:
            places = choose_unlabelled(session, count=frozen["unlabelled"], seed=frozen["seed"])
    if "unlabelled_sha256" not in frozen:
        # stored before the transaction that names it: nobody waits for a disk
        places_sha256 = context.blobs.put(places_document(places))
        with context.writing() as session:
            audit = audit_of(session, context)
            lifecycle.freeze(
                session, audit, unlabelled_sha256=places_sha256, threads=context.settings.threads
            )
            frozen = audit.config
    return Plan(
        audit_id=audit.id,
        snapshot=Snapshot.from_document(context.blobs.read(audit.snapshot_sha256)),
        unlabelled=places_from(context.blobs.read(frozen["unlabelled_sha256"])),
        config=config_of(frozen),
        folds=frozen["folds"],
    )


def audit_of(session: Session, context: JobContext) -> LabelAudit:
    audit = lifecycle.of_job(session, context.job_id)
    if audit is None:
        msg = f"job {context.job_id} has no audit"
        raise LookupError(msg)
    return audit


def deal(plan: Plan, labelled: Labelled) -> Folding:
    """Leave slides out in turn. Gold masks are judged and never learned from, here neither."""
    learns = np.array([each.role == PatchRole.TRAINING for each in plan.snapshot.patches])
    return folding(labelled.groups, learns, folds=plan.folds, seed=plan.config.seed)


def judge(context: JobContext, plan: Plan, labelled: Labelled, dealt: Folding) -> Judgement:
    """Train the folds' networks, from where an earlier attempt came to."""
    unlabelled = read_unlabelled(context.database, context.settings, plan.unlabelled, context.check)

    def progress(step: int, steps: int, losses: dict[str, float]) -> None:
        context.progress(READ + (JUDGED - READ) * step / steps, f"Step {step} of {steps}")

    try:
        return out_of_fold(
            plan.config,
            labelled.images,
            labelled.masks,
            unlabelled,
            dealt,
            workdir=lifecycle.audit_folder(context.settings, context.job_id),
            progress=progress,
            stopping=context.stopping,
        )
    except Stopped:
        context.check()
        raise


def write(
    context: JobContext, plan: Plan, labelled: Labelled, dealt: Folding, judgement: Judgement
) -> None:
    """Keep the doubtful pixels as blobs, then write all rows and the job's success at once."""
    issues = find(labelled.masks, judgement.probability)
    weighed = [
        (component.weight, issue_of(context, patch.annotation_id, component))
        for patch, each in zip(plan.snapshot.patches, issues, strict=True)
        for component in each.components
    ]
    # of equal ones the snapshot's order decides: sorting is stable
    worst_first = [each for _, each in sorted(weighed, key=lambda pair: -pair[0])]
    with context.finishing() as session:
        lifecycle.finish(
            session,
            plan.audit_id,
            held_out="slide" if dealt.by_group else "patch",
            judged=[
                judged_of(patch.annotation_id, mask, each, judgement.weights[fold])
                for patch, mask, each, fold in zip(
                    plan.snapshot.patches, labelled.masks, issues, dealt.fold.tolist(), strict=True
                )
            ],
            doubtful=worst_first,
        )
    log.info("audit of %d masks found %d issues", len(issues), len(weighed))


def issue_of(context: JobContext, annotation_id: str, component: Component) -> DoubtfulPiece:
    """Store a component's pixels; return its row."""
    context.check()
    pixels = np.zeros((PATCH_PX, PATCH_PX), np.uint8)
    box = np.s_[
        component.row : component.row + component.height,
        component.column : component.column + component.width,
    ]
    pixels[box][component.pixels] = 255
    return DoubtfulPiece(
        annotation_id=annotation_id,
        kind=IssueKind(component.kind),
        row=component.row,
        column=component.column,
        height=component.height,
        width=component.width,
        size_px=component.size_px,
        score=min(1.0, component.score),
        pixels_sha256=context.blobs.put(masks.encode(pixels)),
    )


def judged_of(
    annotation_id: str, mask: npt.NDArray[np.uint8], issues: PatchIssues, weights_sha256: str
) -> JudgedMask:
    return JudgedMask(
        annotation_id=annotation_id,
        weights_sha256=weights_sha256,
        judged_px=int(np.count_nonzero(mask != IGNORE)),
        doubtful_px=int(np.count_nonzero(issues.doubtful)),
    )
