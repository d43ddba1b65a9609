"""Model versions over REST: the cold start from the first minute, one active, forward and back."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from backend.job_kinds import JobKind
from backend.jobs.tables import Job
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelKind, ModelVersion, ModelVersionState
from backend.people.audit.tables import AuditEntry
from backend.people.users.tables import Role
from backend.settings import Settings
from tests.conftest import Service
from tests.support.learning import add_slide
from worker.predictors import register_cold_start


def trained(service: Service, *, finished: bool = True) -> str:
    """Add a version as a round does; its weights are never loaded here."""
    with service.database.writing() as session:
        version = model_versions.begin_training(
            session,
            preset="eugmt-plus",
            parent_id=model_versions.active(session).id,
            snapshot_sha256="0" * 64,
            config={"seed": 1},
        )
        if finished:
            model_versions.finish_training(
                session,
                version.id,
                weights_sha256="1" * 64,
                threshold=0.37,
                metrics={"gold": {"dice": 0.5}},
                config={"torch": "2"},
            )
        return version.id


def states(service: Service) -> dict[str, str]:
    items = service.client.get("/model-versions").json()["items"]
    return {each["name"]: each["state"] for each in items}


def test_the_cold_start_is_active_from_the_first_start(service: Service) -> None:
    [shown] = service.client.get("/model-versions").json()["items"]
    assert (shown["name"], shown["kind"], shown["state"]) == (
        "cold-start",
        "cold-start",
        "active",
    )
    assert shown["parent_id"] is None
    assert shown["threshold"] == 0.5
    assert json.loads(service.blobs.read(shown["weights_sha256"])) == shown["config"]


def test_workers_that_start_together_register_one(database: Database, settings: Settings) -> None:
    def begin(_: int) -> None:
        with database.writing() as session:
            register_cold_start(session, Blobs(settings.blob_folder))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ModelVersion)) == 1


def test_without_a_worker_the_reason_is_said(database: Database) -> None:
    with (
        database.reading() as session,
        pytest.raises(model_versions.NoActiveModel, match="Start a worker"),
    ):
        model_versions.active(session)


def test_a_version_shows_its_lineage(service: Service) -> None:
    version_id = trained(service)
    shown = service.client.get(f"/model-versions/{version_id}").json()
    [cold] = [
        each
        for each in service.client.get("/model-versions").json()["items"]
        if each["kind"] == "cold-start"
    ]
    assert shown["name"] == "eugmt-plus-0001"
    assert shown["parent_id"] == cold["id"]
    assert shown["weights_sha256"] == "1" * 64
    assert shown["snapshot_sha256"] == "0" * 64
    assert shown["config"] == {"seed": 1, "torch": "2"}
    assert shown["metrics"] == {"gold": {"dice": 0.5}}
    missing = service.client.get("/model-versions/none")
    assert (missing.status_code, missing.json()["code"]) == (404, "model_version_not_found")


def test_activation_goes_forward_and_back_and_predicts_again(service: Service) -> None:
    slide_id = add_slide(service.database, service.settings, 1)
    candidate = trained(service)
    pathologist = service.client_of(Role.PATHOLOGIST)
    reply = pathologist.post(f"/model-versions/{candidate}/activate")
    assert reply.status_code == 200, reply.text
    assert reply.json()["state"] == "active"
    assert states(service) == {"cold-start": "retired", "eugmt-plus-0001": "active"}
    with service.database.reading() as session:
        [job] = session.scalars(select(Job).where(Job.kind == JobKind.PREDICT))
        [entry] = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "model_version.activated")
        )
        cold = session.scalars(
            select(ModelVersion.id).where(ModelVersion.kind == ModelKind.COLD_START)
        ).one()
    assert slide_id in job.subject
    assert candidate in job.subject
    assert entry.details == {"name": "eugmt-plus-0001", "instead_of": "cold-start"}

    assert pathologist.post(f"/model-versions/{cold}/activate").status_code == 200
    assert states(service) == {"cold-start": "active", "eugmt-plus-0001": "retired"}
    # what is active already stays so, without another entry
    assert pathologist.post(f"/model-versions/{cold}/activate").status_code == 200
    with service.database.reading() as session:
        entries = select(func.count()).where(AuditEntry.action == "model_version.activated")
        assert session.scalar(entries) == 2


def test_a_version_in_training_is_not_activated(service: Service) -> None:
    version_id = trained(service, finished=False)
    reply = service.client.post(f"/model-versions/{version_id}/activate")
    assert (reply.status_code, reply.json()["code"]) == (409, "model_version_not_activatable")
    assert states(service)["cold-start"] == "active"


def test_viewers_do_not_activate(service: Service) -> None:
    version_id = trained(service)
    reply = service.client_of(Role.VIEWER).post(f"/model-versions/{version_id}/activate")
    assert reply.status_code == 403
    assert states(service)["cold-start"] == "active"


def test_two_people_activate_at_once_and_one_version_is_active(service: Service) -> None:
    candidates = [trained(service) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        replies = pool.map(
            lambda each: service.client.post(f"/model-versions/{each}/activate"), candidates
        )
        assert {reply.status_code for reply in replies} <= {200, 409}
    assert list(states(service).values()).count("active") == 1


def test_the_database_holds_one_active_version_with_weights(service: Service) -> None:
    for more in (
        {"state": ModelVersionState.ACTIVE, "weights_sha256": "2" * 64},
        {"state": ModelVersionState.CANDIDATE},
    ):
        with pytest.raises(IntegrityError), service.database.writing() as session:
            session.add(ModelVersion(name="other", kind=ModelKind.EUGMT, **more))
