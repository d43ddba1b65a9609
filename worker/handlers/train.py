"""A round: learn from a frozen snapshot, compare on gold, promote or keep back.

Killed anywhere it is run again to the same end: the snapshot and the unlabelled draw are blobs,
training goes on from its checkpoint, and the verdict is one transaction.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sqlalchemy.orm import Session

from backend.kit.errors import Unprocessable
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.service import ActiveModelChanged
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.rounds import gold_masks, lifecycle
from backend.learning.rounds import service as rounds
from backend.learning.rounds.snapshot import Snapshot
from backend.learning.rounds.tables import LIVE, RoundState
from backend.slides.patches.tables import PatchRole
from models import training
from models.metrics import IGNORE
from models.networks import NetworkError
from models.training import Stopped, Trained, TrainingConfig, TrainingDataError
from worker import threshold
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
from worker.evaluation import Seen, evaluate
from worker.initial_weights import weights_to_go_on_from
from worker.predictors import predictor_for, require_precision
from worker.threshold import Choice
from worker.verdict import Gold, Verdict, judge, too_few

log = logging.getLogger(__name__)
READ, TRAINED = 0.02, 0.95
"""Shares of the progress bar at which reading and training are done."""


class TrainingRefused(Unprocessable):
    """The settings or the images can't be trained with; trying again would not help."""

    code, title = "training_refused", "This training can't be done"


@dataclass(frozen=True)
class Plan:
    """What a round does, frozen before its first step.

    begins: why it does not go on from the active version's weights; empty where it does, or where
    there are none.
    """

    round_id: str
    version_id: str
    snapshot: Snapshot
    unlabelled: list[Place]
    config: TrainingConfig
    initial: Path | None
    begins: str
    gold_needed: int


def run(context: JobContext) -> None:
    """Train, evaluate and close the round that the job is about."""
    plan = open_plan(context)
    if plan is None:
        log.info("round %s is over already", context.subject)
        return
    try:
        trained = learn(context, plan)
    except (NetworkError, TrainingDataError) as error:
        code = getattr(error, "code", TrainingRefused.code)
        raise TrainingRefused(str(error), code=code) from error
    context.blobs.adopt(trained.path, trained.sha256)
    with context.writing() as session:
        lifecycle.begin_evaluation(session, plan.round_id)
    conclude(context, plan, trained)
    lifecycle.forget(context.settings, plan.round_id)


def open_plan(context: JobContext) -> Plan | None:
    """Freeze what is still free, or read what an earlier attempt froze."""
    require_precision(context.settings)
    with context.reading() as session:
        row = rounds.get(session, context.subject)
        if row.state not in LIVE:
            return None
        rounds.require_encoder_weights(row.config["encoder_weights"], row.config["encoder"])
        frozen: dict[str, Any] = {"threads": context.settings.threads}
        if row.state == RoundState.OPEN:
            places = choose_unlabelled(
                session, count=row.config["unlabelled"], seed=row.config["seed"]
            )
            # stored before the transaction that names it: nobody waits for a disk
            frozen["unlabelled_sha256"] = context.blobs.put(places_document(places))
    with context.writing() as session:
        row = rounds.get(session, context.subject)
        if row.state not in LIVE:
            return None
        if row.state == RoundState.OPEN:
            lifecycle.begin_training(session, row, config=frozen)
        parent = model_versions.get(session, row.parent_model_version_id)
    config = config_of(row.config)
    initial, begins = weights_to_go_on_from(context.blobs, parent, config)
    if begins:
        log.info("round %s: %s", row.id, begins)
    return Plan(
        round_id=row.id,
        version_id=row.model_version_id or "",
        snapshot=Snapshot.from_document(context.blobs.read(row.snapshot_sha256 or "")),
        unlabelled=places_from(context.blobs.read(row.config["unlabelled_sha256"])),
        config=config,
        initial=initial,
        begins=begins,
        # a round from before this was a setting is judged by today's
        gold_needed=row.config.get("gold_patches", context.settings.gold_patches),
    )


def config_of(frozen: dict[str, Any]) -> TrainingConfig:
    """Return the training that a round's frozen settings mean, on this machine's device."""
    try:
        chosen = training.preset(frozen["preset"])
    except ValueError as error:
        raise TrainingRefused(f"MEMBRANA_PRESET: {error}", code="unknown_preset") from error
    network = replace(
        chosen.network,
        architecture=frozen["architecture"] or chosen.network.architecture,
        encoder=frozen["encoder"] or chosen.network.encoder,
        encoder_weights=frozen["encoder_weights"],
    )
    own = network.architecture == chosen.network.architecture
    return replace(
        chosen,
        network=network,
        iterations=frozen["iterations"] or chosen.iterations,
        seed=frozen["seed"],
        checkpoint_every=frozen["checkpoint_steps"],
        # a larger network than the preset's has more to share out
        threads=frozen["threads"] or (chosen.threads if own else 0),
        device="cuda" if torch.cuda.is_available() else "cpu",
    )


def labelled_of(context: JobContext, snapshot: Snapshot, role: PatchRole) -> Labelled:
    patches = snapshot.of_role(role)
    return read_labelled(context.database, context.blobs, context.settings, patches, context.check)


def learn(context: JobContext, plan: Plan) -> Trained:
    """Train on the snapshot, from the last checkpoint if there is one."""
    context.progress(0, "Reading annotated patches")
    labelled = labelled_of(context, plan.snapshot, PatchRole.TRAINING)
    unlabelled = read_unlabelled(context.database, context.settings, plan.unlabelled, context.check)

    def progress(step: int, steps: int, losses: dict[str, float]) -> None:
        with context.writing() as session:
            lifecycle.record_curve(session, plan.round_id, step, losses)
        context.progress(READ + (TRAINED - READ) * step / steps, f"Step {step} of {steps}")

    try:
        return training.train(
            plan.config,
            labelled.images,
            labelled.masks,
            # where every patch is annotated their pixels are learned from without masks, too
            unlabelled if len(unlabelled) else labelled.images,
            workdir=lifecycle.training_folder(context.settings, plan.round_id),
            progress=progress,
            stopping=context.stopping,
            initial=plan.initial,
        )
    except Stopped:
        context.check()
        raise


def conclude(context: JobContext, plan: Plan, trained: Trained) -> None:
    """Judge the candidate against the active version on gold, and act on it, all at once."""
    gold = labelled_of(context, plan.snapshot, PatchRole.GOLD)
    held_out = plan.snapshot.of_role(PatchRole.GOLD)
    looked_at = {
        patch.annotation_id: number
        for number, patch in enumerate(held_out)
        if (gold.masks[number] != IGNORE).any()
    }
    with context.reading() as session:
        candidate = model_versions.get(session, plan.version_id)
    candidate.weights_sha256 = trained.sha256
    of_candidate: Seen | None = None
    choice = threshold.NOT_JUDGED
    while True:
        with context.reading() as session:
            active = model_versions.active(session)
            counting = gold_masks.counting(session, looked_at, compared(session, plan, active))
        numbers = {looked_at[each] for each in counting.annotation_ids}
        tally = Gold(
            held_out=len(held_out),
            needed=plan.gold_needed,
            counted=len(numbers),
            accepted=counting.accepted,
            ignored=len(held_out) - len(looked_at),
        )
        if tally.counted < tally.needed:
            verdict = too_few(tally, active.name)
        else:
            of_candidate = of_candidate or evaluate(
                predictor_for(context, candidate), gold, context.check
            )
            of_active = evaluate(predictor_for(context, active), gold, context.check)
            counted = of_candidate.only(numbers)
            choice = threshold.choose(counted, plan.snapshot)
            verdict = judge(
                threshold.judged(counted, choice),
                of_active.only(numbers).cut({}),
                active.name,
                tally,
            )
        folder = lifecycle.training_folder(context.settings, plan.round_id)
        weights = threshold.carried_by(context.blobs, trained.sha256, choice, folder)
        try:
            finish_round(context, plan, weights, active, verdict, choice)
        except ActiveModelChanged:
            # a person activated another version meanwhile: that one is to be beaten now
            continue
        return


def compared(session: Session, plan: Plan, active: ModelVersion) -> list[ModelVersion]:
    """Return the models by whose proposals nothing may be judged, the candidate's origin too."""
    if plan.initial is None:
        return [active]
    candidate = model_versions.get(session, plan.version_id)
    return [active, model_versions.get(session, candidate.parent_id or "")]


def provenance(plan: Plan) -> dict[str, Any]:
    """Return what the weights came from, besides the snapshot: it adds to the round's settings."""
    return {
        "training": plan.config.document(),
        "warm_start": plan.initial is not None,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if plan.config.device == "cuda" else "cpu",
        "unlabelled_drawn": len(plan.unlabelled),
    }


def finish_round(
    context: JobContext,
    plan: Plan,
    weights_sha256: str,
    active: ModelVersion,
    verdict: Verdict,
    choice: Choice,
) -> None:
    """Write the end: candidate, verdict, promotion, predictions and the job, or none of it."""
    metrics = {**verdict.metrics, "threshold": choice.figures()}
    with context.finishing() as session:
        if model_versions.active(session).id != active.id:
            raise ActiveModelChanged(f"{active.name} is no longer the active version.")
        model_versions.finish_training(
            session,
            plan.version_id,
            weights_sha256=weights_sha256,
            threshold=choice.threshold,
            metrics=metrics,
            config=provenance(plan),
        )
        lifecycle.close(
            session,
            plan.round_id,
            state=verdict.state,
            reason=f"{verdict.reason} {plan.begins}".rstrip(),
            metrics=metrics,
        )
        if verdict.promoted:
            version = model_versions.get(session, plan.version_id)
            session.refresh(version)
            model_versions.switch(
                session, context.settings, version, requested_by=context.requested_by
            )
    # what was annotated during the training may be enough for the next round already
    rounds.consider(context.database, context.settings)
