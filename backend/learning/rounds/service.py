"""Rounds: when one starts, and on what exactly. What becomes of it: lifecycle.py."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.repeats import IdempotencyKey, same_request
from backend.jobs.tables import Job
from backend.kit.db.outbox import after_commit
from backend.kit.db.session import Database, get_database
from backend.kit.errors import NotFound, Unprocessable
from backend.kit.events.service import announce
from backend.kit.facts import on
from backend.kit.paging import paginate
from backend.learning.annotations import newest_masks
from backend.learning.annotations.facts import MaskSaved
from backend.learning.model_versions import service as model_versions
from backend.learning.rounds import gold_masks
from backend.learning.rounds.snapshot import Snapshot, take, write_of_present
from backend.learning.rounds.tables import LIVE, Round, RoundPatch
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.patches.tables import PatchRole

SCRATCH, PACKAGED = "scratch", "imagenet"
"""Instead of a file: random weights, or those that an installed package brings."""
PACKAGED_ENCODERS = frozenset({"tu-tf_efficientnet_lite0"})
"""Of which a package brings weights: training's own table, which a test holds equal."""
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
"""Of the files in a folder of encoders' weights, as training looks for them."""
log = logging.getLogger(__name__)


class RoundNotFound(NotFound):
    code = "round_not_found"


class TooFewAnnotations(Unprocessable):
    code = "too_few_annotations"
    title = "There is not enough to learn from yet"


class EncoderWeightsMissing(Unprocessable):
    code = "encoder_weights_missing"
    title = "The pretrained encoder's weights are not there"


@dataclass(frozen=True)
class RoundView:
    """A round with its job and the size of its snapshot."""

    round: Round
    job: Job | None
    training_count: int
    partial_count: int
    gold_count: int


def get(session: Session, round_id: str) -> Round:
    row = session.get(Round, round_id)
    if row is None:
        raise RoundNotFound("There is no round with this id.")
    return row


def live(session: Session) -> Round | None:
    """Return the one round that is not over."""
    return session.scalar(select(Round).where(Round.state.in_(LIVE)))


def listing(
    session: Session, *, limit: int, cursor: str | None
) -> tuple[list[RoundView], str | None]:
    """Return a page of rounds, newest first."""
    rows, next_cursor = paginate(
        session, select(Round), Round.id, limit=limit, cursor=cursor, newest_first=True
    )
    return views(session, rows), next_cursor


def views(session: Session, rounds: Sequence[Round]) -> list[RoundView]:
    """Add jobs and counts to rounds, in two statements however many there are."""
    job_of = jobs.by_id(session, [row.job_id for row in rounds if row.job_id])
    counts = {
        (round_id, role, complete): count
        for round_id, role, complete, count in session.execute(
            select(RoundPatch.round_id, RoundPatch.role, RoundPatch.complete, func.count())
            .where(RoundPatch.round_id.in_([row.id for row in rounds]))
            .group_by(RoundPatch.round_id, RoundPatch.role, RoundPatch.complete)
        )
    }
    return [
        RoundView(
            row,
            job_of.get(row.job_id or ""),
            counts.get((row.id, PatchRole.TRAINING, True), 0),
            counts.get((row.id, PatchRole.TRAINING, False), 0),
            counts.get((row.id, PatchRole.GOLD, True), 0),
        )
        for row in rounds
    ]


def start(
    database: Database,
    settings: Settings,
    *,
    by: User | None = None,
    idempotency_key: IdempotencyKey | None = None,
) -> tuple[Round, bool]:
    """Start a round on what is annotated now; return it, and whether it was running already.

    Without `by`, enough new annotations started it.
    """

    def known(session: Session) -> tuple[Round, bool] | None:
        if job := same_request(session, idempotency_key):
            return get(session, job.subject), False
        running = live(session)
        return (running, True) if running else None

    def require(snapshot: Snapshot) -> None:
        require_encoder_weights(settings.encoder_weights, settings.encoder)
        require_enough(snapshot)

    def write(session: Session, snapshot: Snapshot) -> tuple[Round, bool]:
        try:
            with session.begin_nested():
                row = open_round(session, settings, snapshot, by)
        except IntegrityError:
            running = live(session)
            if running is None:
                raise
            return running, True
        job = jobs.enqueue(
            session,
            settings,
            JobKind.TRAIN,
            row.id,
            requested_by=row.requested_by,
            idempotency_key=idempotency_key,
        )
        row.job_id = job.id
        audit.record(session, by, "round.started", "round", row.id, snapshot=row.snapshot_sha256)
        announce(session, Round.TOPIC, row.id, {"state": str(row.state)})
        return row, False

    return write_of_present(database, settings, known=known, require=require, write=write)


def require_encoder_weights(encoder_weights: str, encoder: str) -> None:
    """Refuse at once what training would refuse later, and nothing else.

    encoder_weights: `scratch` or `imagenet`, a file, or a folder of files named after encoders.
    encoder: the one that is trained; empty: the preset's own, whose name only training knows.
    """
    path = Path(encoder_weights)
    if encoder_weights == PACKAGED and encoder and encoder not in PACKAGED_ENCODERS:
        raise EncoderWeightsMissing(
            f"MEMBRANA_ENCODER_WEIGHTS is `{PACKAGED}`, and no installed package brings weights of "
            f"{encoder}; of {', '.join(sorted(PACKAGED_ENCODERS))} one does. Name a file of its "
            f"weights, or set it to `{SCRATCH}` to train without pretraining."
        )
    if encoder_weights in {SCRATCH, PACKAGED} or path.is_file():
        return
    if not path.is_dir() or not encoder_weights:
        raise EncoderWeightsMissing(
            f"MEMBRANA_ENCODER_WEIGHTS names {encoder_weights!r}, and there is no such file. Put "
            "the weights there, or set it to `scratch` to train without pretraining."
        )
    named = (file for file in path.iterdir() if file.suffix in WEIGHTS_SUFFIXES)
    if not any(file.stem == encoder or not encoder for file in named):
        wanted = encoder or "any encoder"
        raise EncoderWeightsMissing(
            f"MEMBRANA_ENCODER_WEIGHTS names the folder {encoder_weights}, which holds no weights "
            f"of {wanted}: put {encoder or 'resnet50'}.safetensors there (or .pt, .pth, .bin), or "
            "set it to `scratch` to train without pretraining."
        )


def require_enough(snapshot: Snapshot) -> None:
    """Refuse to train on nothing, or without anything to judge the result on."""
    training = len(snapshot.complete_of_role(PatchRole.TRAINING))
    gold = len(snapshot.of_role(PatchRole.GOLD))
    if training and gold:
        return
    missing = []
    if not training:
        missing.append("an annotated patch to learn from")
    if not gold:
        missing.append("an annotated patch that is held out to judge the result")
    raise TooFewAnnotations(
        f"A round needs {' and '.join(missing)}. There are {training} training and {gold} held-out "
        "annotations now; go on annotating, the held-out ones are chosen by themselves.",
        training=training,
        gold=gold,
    )


def open_round(session: Session, settings: Settings, snapshot: Snapshot, by: User | None) -> Round:
    """Write the round and its snapshot's rows; the settings are frozen with them."""
    row = Round(
        requested_by=by.id if by else None,
        parent_model_version_id=model_versions.active(session).id,
        snapshot_sha256=snapshot.sha256,
        held_out=snapshot.held_out,
        config=frozen(settings),
    )
    session.add(row)
    session.flush()
    session.add_all(
        RoundPatch(
            round_id=row.id,
            patch_id=patch.patch_id,
            annotation_id=patch.annotation_id,
            role=patch.role,
            complete=patch.complete,
        )
        for patch in snapshot.patches
    )
    session.flush()
    return row


def frozen(settings: Settings) -> dict[str, Any]:
    """Return what training depends on: a restart with other settings changes no running round."""
    return {
        "preset": settings.preset,
        "architecture": settings.architecture,
        "encoder": settings.encoder,
        "encoder_weights": settings.encoder_weights,
        "iterations": settings.round_iterations,
        "unlabelled": settings.round_unlabelled,
        "seed": settings.round_seed,
        "gold_patches": settings.gold_patches,
        "checkpoint_steps": settings.checkpoint_steps,
        "analysis_mpp": settings.analysis_mpp,
        "min_tissue_fraction": settings.min_tissue_fraction,
    }


def annotations_since(session: Session) -> int:
    """Count the training patches whose newest annotation no round has seen.

    The newest round counts however it ended: one that failed is not started again by the next
    brush stroke, a person can do that.
    """
    newest = select(Round.id).order_by(Round.id.desc()).limit(1).scalar_subquery()
    learned = select(RoundPatch.annotation_id).where(RoundPatch.round_id == newest)
    return newest_masks.count_accepted(session, role=PatchRole.TRAINING, besides=learned)


def gold_counted(session: Session) -> int:
    """Count the held-out masks that could judge a model against the active one today."""
    ids = [each.annotation_id for each in take(session).of_role(PatchRole.GOLD)]
    active = model_versions.find_active(session)
    if active is None:
        return len(ids)
    return len(gold_masks.counting(session, ids, [active]).annotation_ids)


@on(MaskSaved)
def after_mask(session: Session, settings: Settings, fact: MaskSaved) -> None:
    after_commit(session, partial(consider, get_database(settings.sqlalchemy_url), settings))


def consider(database: Database, settings: Settings) -> Round | None:
    """Start a round if enough was annotated since the last one; called after each annotation.

    In transactions of its own: a mask is saved whether or not a round can start, and nobody waits
    for a snapshot to save one. When none starts, for whatever reason, the next annotation asks
    again.
    """
    threshold = settings.round_annotations
    if threshold == 0:
        return None
    try:
        with database.reading() as session:
            if live(session) or annotations_since(session) < threshold:
                return None
        row, running = start(database, settings)
    except (TooFewAnnotations, EncoderWeightsMissing, model_versions.NoActiveModel):
        return None
    except Exception:
        # a full disk, a damaged blob: the mask is saved, and who saved it is told so
        log.exception("a round was due and could not start")
        return None
    return None if running else row
