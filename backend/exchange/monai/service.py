"""What MONAI Label's words are here: an image is a patch, a label its mask, a model a version."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from backend.exchange.monai.schemas import Info, Model, Objects, Status
from backend.jobs.tables import Job, JobState
from backend.kit.db.session import Database
from backend.kit.errors import NotFound, PreconditionFailed, Unavailable, Unprocessable
from backend.kit.geometry import Region0
from backend.learning.annotations import service as annotations
from backend.learning.annotations.masks import Mask
from backend.learning.annotations.service import Draft
from backend.learning.annotations.tables import Source
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelVersion, ModelVersionState
from backend.learning.predictions import patch_layers
from backend.learning.predictions import service as predictions
from backend.learning.predictions.patch_layers import PatchLayer
from backend.learning.rounds import service as rounds
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.patches import images
from backend.slides.patches import service as patches
from backend.slides.patches.tables import Patch

FINAL = "final"
MOST_OBJECTS = MOST_MODELS = 1000
STRATEGIES = {
    "uncertainty": "Areas in doubt and the networks' entropy, spread over unlike patches",
    "entropy": "Where the networks are unsure",
    "random": "Any patch that waits",
    "clinical": "Where a correction could change the slide's category",
}
STATUS_OF = {
    JobState.QUEUED: "PENDING",
    JobState.RUNNING: "RUNNING",
    JobState.SUCCEEDED: "DONE",
    JobState.FAILED: "ERROR",
    JobState.CANCELLED: "CANCELED",
}
"""A job's state in the words of MONAI Label's tasks."""


class PredictionPending(Unavailable):
    code, title = "prediction_pending", "The model has not seen this patch yet"


class TagUnknown(Unprocessable):
    code = "label_tag_unknown"


class LabelUnowned(PreconditionFailed):
    code = "stale"


def info(session: Session, settings: Settings) -> Info:
    """Return what the service offers, as clients of MONAI Label list it."""
    versions, _ = model_versions.listing(session, limit=MOST_MODELS, cursor=None)
    usable = [
        version
        for version in versions
        if version.state not in {ModelVersionState.TRAINING, ModelVersionState.FAILED}
    ]
    return Info(
        models={version.name: model_of(version) for version in usable},
        trainers={settings.preset: {"description": "A round on all that is annotated"}},
        strategies={name: {"description": text} for name, text in STRATEGIES.items()},
        datastore=status(session),
    )


def model_of(version: ModelVersion) -> Model:
    active = version.state == ModelVersionState.ACTIVE
    return Model(
        description=f"{version.name}, {version.state}" + (": it proposes now" if active else ""),
        config={"id": version.id, "active": active},
    )


def status(session: Session) -> Status:
    completed = patches.annotated_count(session)
    return Status(
        total=slides.patch_total(session), completed=completed, label_tags={FINAL: completed}
    )


def objects(session: Session, slide_id: str | None) -> Objects:
    """Return patches that people have drawn on, or the first ones of a slide."""
    if slide_id is not None:
        slides.get(session, slide_id)
    listed = patches.some(session, slide_id, MOST_OBJECTS)
    return Objects(objects={patch.id: entry_of(patch) for patch in listed})


def entry_of(patch: Patch) -> dict[str, Any]:
    facts = {"slide_id": patch.slide_id, "x": patch.x0, "y": patch.y0, "size": patch.size0}
    label = {"ext": ".png", "info": {"revision": patch.revision, "state": str(patch.state)}}
    return {
        "image": {"ext": ".png", "info": {"name": f"{patch.id}.png", **facts}},
        "labels": {FINAL: label} if patch.revision else {},
    }


def version_named(session: Session, name: str) -> ModelVersion:
    """Return a model version by its name; `active` is the one that proposes now."""
    if name == "active":
        return model_versions.active(session)
    return model_versions.by_name(session, name) or model_versions.get(session, name)


def infer(
    database: Database, settings: Settings, model: str, patch_id: str, user: User
) -> tuple[bytes, dict[str, Any]]:
    """Return a model's mask of a patch as a PNG, and what is said of it.

    Raise PredictionPending where it has not seen the patch: a worker is asked, and comes first.
    """
    with database.reading() as session:
        patch = patches.get(session, patch_id)
        version = version_named(session, model)
        known = predictions.of_patch(session, patch.id, version.id)
        slide = slides.get(session, patch.slide_id)
    if known is not None:
        pixels = patch_layers.pixels_of(slide, patch, known[1], PatchLayer.PROPOSAL, settings)
        said = {"label_names": {"membrane": 255}, "model": version.name, "image": patch.id}
        return images.png(pixels), said
    box = Region0(patch.x0, patch.y0, patch.size0, patch.size0)
    with database.writing() as session:
        job = predictions.request(
            session,
            settings,
            patch.slide_id,
            model_version_id=version.id,
            box=box,
            requested_by=user.id,
        )
        job_id = job.id
    raise PredictionPending(
        f"A worker looks at it now (job {job_id}); ask again in some seconds.",
        headers={"Retry-After": "5"},
        job_id=job_id,
    )


def draft_of(
    session: Session, patch_id: str, mask: Mask, params: Mapping[str, Any], user: User
) -> Draft:
    """Return a label as the revision that follows the one which its sender has seen.

    MONAI Label's clients name none (`params` may: `revision`). Theirs it is if they have the patch
    in hand, nobody has drawn on it, or the newest mask is their own; else raise LabelUnowned.
    """
    patch = patches.get(session, patch_id)
    seconds = params.get("seconds_spent")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise Unprocessable("`seconds_spent` is a number.")
    seen = params.get("revision")
    if seen is not None and (isinstance(seen, bool) or not isinstance(seen, int)):
        raise Unprocessable("`revision` is a number.")
    if seen is None and not is_theirs(session, patch, user):
        error = annotations.stale(session, patch)
        raise LabelUnowned(
            "Somebody else has drawn on this patch, and it is not in your hands: take it by active "
            "learning, or name the revision that you have seen in `params`.",
            headers=error.headers,
            **error.extra,
        )
    base = patch.revision if seen is None else seen
    try:
        spent = None if seconds is None else float(seconds)
    except OverflowError:
        raise Unprocessable("`seconds_spent` is longer than this slide is here.") from None
    return Draft(mask, base, Source.EDITED, spent)


def is_theirs(session: Session, patch: Patch, user: User) -> bool:
    if patch.revision == 0 or (patches.is_held(patch) and patch.lease_user_id == user.id):
        return True
    return annotations.newest_of(session, patch.id).author_id == user.id


def require_final(tag: str) -> None:
    if tag not in {"", FINAL}:
        raise TagUnknown(f"A person's mask has the tag `{FINAL}`; there are no others here.")


def task_of(job: Job | None, *, running_only: bool) -> dict[str, Any]:
    """Return the newest round's job as a task of MONAI Label's; raise NotFound if there is none."""
    active = job is not None and job.state in {JobState.QUEUED, JobState.RUNNING}
    if job is None or (running_only and not active):
        raise NotFound("No training is going on.", code="no_training")
    return {
        "id": job.id,
        "category": "train",
        "status": STATUS_OF[job.state],
        "start_ts": int((job.started_at or job.created_at).timestamp()),
        "end_ts": int(job.finished_at.timestamp()) if job.finished_at else 0,
        "exit_code": 0 if job.state == JobState.SUCCEEDED else None,
        "details": [job.message] if job.message else [],
        "progress": job.progress,
        "round_id": job.subject,
    }


def newest_training(session: Session) -> Job | None:
    """Return the job of the newest round."""
    newest, _ = rounds.listing(session, limit=1, cursor=None)
    return newest[0].job if newest else None
