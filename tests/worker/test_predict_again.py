"""Another model version sees a slide: masks stay, and the old view until the new is whole."""

import json

import pytest
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.kit.db.base import new_id
from backend.kit.geometry import Region0
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import Prediction, PredictionShard
from backend.slides.catalogue.tables import Slide
from models.cold_start import ColdStart
from tests.conftest import Service
from tests.support.ready import (
    PREDICT,
    patches_of,
    pixels,
    predicted_slide,
    put,
    ready_slide,
    request,
    some_mask,
)
from worker.context import JobContext
from worker.handlers import predict


def another_version(service: Service) -> str:
    """A second cold start with other constants: another model version, as after a round."""
    document = {**json.loads(ColdStart().parameters_json()), "brown_od": 0.2}
    with service.database.writing() as session:
        version = ModelVersion(
            name=f"other-{new_id()[-6:]}",
            kind=ModelKind.COLD_START,
            state=ModelVersionState.CANDIDATE,
            weights_sha256=service.blobs.put(json.dumps(document).encode()),
            config=document,
        )
        session.add(version)
        session.flush()
        return version.id


def test_a_new_model_never_touches_what_people_drew(service: Service) -> None:
    slide_id = predicted_slide(service)
    patches = patches_of(service.client, slide_id)
    drawn = [patch["id"] for patch in patches[:2]]
    for index, patch_id in enumerate(drawn):
        put(service.client, patch_id, some_mask(index)).raise_for_status()
    before = [service.client.get(f"/patches/{each}/annotation.png").content for each in drawn]
    version_id = another_version(service)
    old = sha256_of(service, slide_id)
    service.client.post(f"/model-versions/{version_id}/activate").raise_for_status()
    service.run_jobs(PREDICT)
    with service.database.reading() as session:
        shown = predictions.shown(session, slide_id)
        assert shown is not None
        assert shown.model_version_id == version_id
        assert shown.sha256 != old
    after = [service.client.get(f"/patches/{each}/annotation.png").content for each in drawn]
    assert after == before
    seen = {patch["id"]: patch for patch in patches_of(service.client, slide_id)}
    for patch_id in drawn:
        assert seen[patch_id]["state"] == "annotated"
        assert seen[patch_id]["model_version_id"] == version_id, "seen, for the overlay"
        assert seen[patch_id]["selection"]["rank"] is None, "but not queued"
    ranks = [patch["selection"]["rank"] for patch in seen.values() if patch["id"] not in drawn]
    assert ranks == [1, 2, 3, 4]


def test_the_old_view_stays_until_the_new_is_whole(service: Service) -> None:
    slide_id = predicted_slide(service, width=2560, height=512)
    old = {patch["id"]: patch["uncertainty"] for patch in patches_of(service.client, slide_id)}
    version_id = another_version(service)
    service.client.post(f"/model-versions/{version_id}/activate").raise_for_status()
    request(service, slide_id, box=Region0(2100, 0, 100, 100))
    service.run_jobs((JobKind.PREDICT_VIEWPORT,))
    now = {patch["id"]: patch["uncertainty"] for patch in patches_of(service.client, slide_id)}
    assert now == old
    service.run_jobs(PREDICT)
    new = {patch["id"]: patch["uncertainty"] for patch in patches_of(service.client, slide_id)}
    assert new.keys() == old.keys()
    assert new != old


def sha256_of(service: Service, slide_id: str) -> str | None:
    with service.database.reading() as session:
        return session.scalars(
            select(Prediction.sha256).where(Prediction.slide_id == slide_id)
        ).one()


class Regridded(JobContext):
    """A worker whose slide gets another pixel size while it predicts."""

    forgotten = False

    def check(self) -> None:
        if not self.forgotten:
            self.forgotten = True
            with self.database.writing() as session:
                slide = session.scalars(select(Slide)).one()
                predictions.forget(session, slide, self.settings)
        super().check()


def test_a_prediction_forgotten_meanwhile_is_begun_again(service: Service) -> None:
    slide_id = ready_slide(service)
    job_id = request(service, slide_id)
    settings = service.settings
    with service.database.writing() as session:
        job = jobs.claim(session, job_id, owner="me", lease_seconds=settings.lease_seconds)
    assert job is not None
    context = Regridded(job, owner="me", database=service.database, settings=settings)
    with pytest.raises(NoResultFound):
        predict.run(context)
    with service.database.writing() as session:
        assert session.scalars(select(PredictionShard)).all() == []
        jobs.hand_over(session, service.settings, job_id, owner="me")
    service.run_jobs(PREDICT)
    patches = patches_of(service.client, slide_id)
    assert [patch["selection"]["rank"] for patch in patches] == [1, 2, 3, 4, 5, 6]
    picture = service.client.get(f"/patches/{patches[0]['id']}/probability.png")
    assert pixels(picture).any(), "the pyramid was made anew"
