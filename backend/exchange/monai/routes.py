"""MONAI Label's REST under /monai, for its clients: MONAILabelClient(".../api/v1/monai").

Its addresses end with a slash where its client writes one, and are taken without, too.
"""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from backend.exchange.monai import bodies, service
from backend.exchange.monai.bodies import FormBody
from backend.exchange.monai.schemas import Info, Objects, Sample, SavedLabel, Status, Task
from backend.jobs import service as jobs
from backend.jobs.tables import ACTIVE
from backend.kit import conditional
from backend.kit.dependencies import (
    BlobStore,
    CurrentDatabase,
    CurrentSettings,
    ReadSession,
    WriteSession,
)
from backend.kit.downloads import disposition
from backend.kit.errors import Unprocessable
from backend.learning.annotations import masks
from backend.learning.annotations import service as annotations
from backend.learning.queue import service as queue
from backend.learning.queue.order import Strategy
from backend.learning.rounds import service as rounds
from backend.people.audit import service as audit
from backend.people.users.guards import Pathologist, Viewer
from backend.slides.catalogue import service as slides
from backend.slides.patches import images
from backend.slides.patches import service as patches

router = APIRouter(prefix="/monai", tags=["monai label"])
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": {}}}}
Params = Annotated[dict[str, Any] | None, Body()]


class Listed(StrEnum):
    STATS = "stats"
    ALL = "all"


class Output(StrEnum):
    ALL = "all"
    IMAGE = "image"
    JSON = "json"


@router.get("/info/", include_in_schema=False)
@router.get("/info")
def read_info(session: ReadSession, settings: CurrentSettings, user: Viewer) -> Info:
    """Say which models, strategies and data there are."""
    return service.info(session, settings)


@router.post("/activelearning/{strategy}")
def next_sample(
    session: WriteSession,
    settings: CurrentSettings,
    user: Pathologist,
    strategy: Strategy,
    params: Params = None,
) -> Sample:
    """Lease the next patch to the caller, as `/queue/next`; `params` may hold a `slide_id`."""
    slide_id = (params or {}).get("slide_id")
    if slide_id is not None and not isinstance(slide_id, str):
        raise Unprocessable("`slide_id` is a text.")
    view = queue.take_next(session, settings, user=user, slide_id=slide_id, strategy=strategy)
    if view is None:
        return Sample()
    entry = service.entry_of(view.patch)["image"]
    return Sample(id=view.patch.id, ext=entry["ext"], **entry["info"])


@router.post(
    "/infer/{model}",
    response_class=Response,
    responses={
        200: {
            "content": {"multipart/form-data": {}, "image/png": {}, "application/json": {}},
            "description": "The mask and what is said of it, or one of the two.",
        }
    },
    openapi_extra=FORM,
)
def infer(
    database: CurrentDatabase,
    settings: CurrentSettings,
    user: Pathologist,
    model: str,
    form: FormBody,
    image: str = "",
    output: Output = Output.ALL,
) -> Response:
    """Return a model version's mask of a patch: 255 membrane, 0 none.

    503 `prediction_pending` with Retry-After while it has not seen the patch.
    """
    if not image or form.files:
        raise Unprocessable(
            "Name a patch as `image`; files and sessions are not taken.", code="image_required"
        )
    png, said = service.infer(database, settings, model, image, user)
    if output == Output.IMAGE:
        return Response(png, media_type="image/png")
    if output == Output.JSON:
        return Response(Sample(**said).model_dump_json(), media_type="application/json")
    body, media_type = bodies.multipart(said, f"{image}.png", png)
    return Response(body, media_type=media_type)


@router.get("/datastore/", include_in_schema=False, response_model=None)
@router.get("/datastore", response_model=Status | Objects)
def read_datastore(
    session: ReadSession,
    user: Viewer,
    output: Listed = Listed.STATS,
    slide_id: Annotated[
        str | None, Query(description="The first 1000 of this slide, drawn on or not.")
    ] = None,
) -> Status | Objects:
    """Count the patches, or list 1000 that people have drawn on (`output=all`)."""
    return service.status(session) if output == Listed.STATS else service.objects(session, slide_id)


@router.get("/datastore/image", response_class=Response, responses=PNG)
def read_image(
    request: Request, session: ReadSession, settings: CurrentSettings, user: Viewer, image: str
) -> Response:
    """Return the pixels of a patch."""
    patch = patches.get(session, image)
    slide = slides.get(session, patch.slide_id)
    return conditional.picture(
        request, images.image_etag(slide, patch), lambda: images.image(slide, patch, settings)
    )


@router.get("/datastore/label", response_class=Response, responses=PNG)
def read_label(
    session: ReadSession, blobs: BlobStore, user: Viewer, label: str, tag: str = service.FINAL
) -> Response:
    """Return people's newest mask of a patch."""
    service.require_final(tag)
    mask = blobs.read(annotations.newest_of(session, label).mask_sha256)
    headers = {"Content-Disposition": disposition(f"{label}.png")}
    return Response(mask, media_type="image/png", headers=headers)


@router.put("/datastore/label", openapi_extra=FORM)
def save_label(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    image: str,
    form: FormBody,
    tag: str = service.FINAL,
) -> SavedLabel:
    """Save a mask (PNG: 0, 127 ignore, 255 membrane) as the next revision of a patch.

    `params` may hold `revision`, the one that was seen, and `seconds_spent`. 412 if somebody else
    has drawn there and it is not the caller's to change.
    """
    service.require_final(tag)
    if "label" not in form.files:
        raise Unprocessable("The form has no file `label`.", code="label_required")
    mask = masks.decode(form.files["label"])
    with database.reading() as session:
        draft = service.draft_of(session, image, mask, form.params, user)
        prepared = annotations.prepare(session, blobs, settings, image, draft)
    with database.writing() as session:
        written = annotations.submit(session, settings, image, prepared, by=user)
        revision = written.annotation.revision
    return SavedLabel(image=image, label=image, revision=revision)


@router.post("/train/", include_in_schema=False)
@router.post("/train")
@router.post("/train/{model}")
def start_training(
    database: CurrentDatabase,
    settings: CurrentSettings,
    user: Pathologist,
    model: str = "",
    params: Params = None,
) -> Task:
    """Start a round on all that is annotated; the settings say how, not `params`."""
    rounds.start(database, settings, by=user)
    with database.reading() as session:
        return Task(**service.task_of(service.newest_training(session), running_only=False))


@router.get("/train/", include_in_schema=False)
@router.get("/train")
def read_training(session: ReadSession, user: Viewer, check_if_running: bool = False) -> Task:  # noqa: FBT001, FBT002 - the client's word
    """Show the newest training; 404 `no_training` if there is none, or none is going on."""
    task = service.task_of(service.newest_training(session), running_only=check_if_running)
    return Task(**task)


@router.delete("/train/", include_in_schema=False)
@router.delete("/train")
def stop_training(session: WriteSession, settings: CurrentSettings, user: Pathologist) -> Task:
    """Cancel the training that is going on."""
    job = service.newest_training(session)
    task = service.task_of(job, running_only=True)
    assert job is not None
    if job.state in ACTIVE:
        job = jobs.cancel(session, settings, task["id"])
        audit.record(session, user, "cancelled_job", "job", job.id, kind=str(job.kind))
    return Task(**service.task_of(job, running_only=False))
