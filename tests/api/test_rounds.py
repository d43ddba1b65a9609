"""Rounds over REST: when one starts, what it holds, how it ends early."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from backend.jobs.tables import Job
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import service as annotations
from backend.learning.annotations.service import Draft
from backend.learning.annotations.tables import Source
from backend.learning.model_versions.tables import ModelVersion, ModelVersionState
from backend.learning.rounds import service as rounds
from backend.learning.rounds.schemas import RoundDetail
from backend.learning.rounds.snapshot import Snapshot
from backend.learning.rounds.tables import Round, RoundPatch, RoundState
from backend.people.users.tables import Role, User
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide, Split
from backend.slides.patches.tables import Patch, PatchRole
from models import networks
from models.architectures import packaged, weights
from tests.conftest import Service
from tests.support.learning import add_slide, annotate, annotate_some, png, truth
from tests.support.shapes import held


def annotated(
    service: Service, training: int = 2, gold: int = 1, split: Split | None = None
) -> str:
    slide_id = add_slide(service.database, service.settings, 1, split)
    annotate_some(service.database, service.settings, slide_id, 1, training, gold)
    return slide_id


def start(service: Service, **headers: str) -> dict[str, Any]:
    response = service.client.post("/rounds", headers=headers)
    assert response.status_code == 202, response.text
    return response.json()


def count(service: Service, table: type[Any]) -> int:
    with service.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    return str(response.json()["detail"])


@pytest.mark.parametrize(
    ("training", "gold", "words"),
    [(0, 0, "learn from and"), (2, 0, "held out to judge"), (0, 1, "to learn from")],
)
def test_too_few_annotations_are_said_in_words(
    service: Service, training: int, gold: int, words: str
) -> None:
    annotated(service, training, gold)
    detail = refused(service.client.post("/rounds"), 422, "too_few_annotations")
    assert words in detail
    assert f"{training} training and {gold} held-out" in detail
    assert count(service, Round) == 0
    assert count(service, Job) == 0


def test_a_round_holds_exactly_what_was_annotated(service: Service) -> None:
    slide_id = annotated(service, 2, 1)
    started = start(service)
    shown = started["round"]
    assert not started["already_running"]
    assert shown["state"] == "open"
    assert (shown["training_count"], shown["gold_count"]) == (2, 1)
    assert started["job"]["kind"] == "train"
    assert started["job"]["subject"] == shown["id"]

    document = service.blobs.read(shown["snapshot_sha256"])
    assert hashlib.sha256(document).hexdigest() == shown["snapshot_sha256"]
    with service.database.reading() as session:
        rows = session.scalars(select(RoundPatch).where(RoundPatch.round_id == shown["id"])).all()
    assert {(row.patch_id, row.annotation_id, str(row.role)) for row in rows} == {
        (each["patch_id"], each["annotation_id"], each["role"])
        for each in json.loads(document)["patches"]
    }

    # a person goes on: the round keeps what it was started with
    empty = np.zeros((256, 256), np.uint8)
    for place in ((0, 0), (3, 3)):
        annotate(service.database, service.settings, slide_id, place, PatchRole.TRAINING, empty)
    later = service.client.get(f"/rounds/{shown['id']}").json()
    assert later["snapshot_sha256"] == shown["snapshot_sha256"]
    assert (later["training_count"], later["gold_count"]) == (2, 1)
    assert later["curves"] == []
    assert service.client.get("/rounds").json()["annotations_since"] == 2


@pytest.mark.parametrize(("split", "held_out"), [(Split.MIXED, "patch"), (Split.GOLD, "slide")])
def test_a_round_says_how_its_gold_is_held_out(
    service: Service, split: Split, held_out: str
) -> None:
    annotated(service, 1, 0, Split.TRAINING)
    other = add_slide(service.database, service.settings, 2, split)
    annotate(service.database, service.settings, other, (0, 0), PatchRole.GOLD, truth(2, 0, 0))
    assert start(service)["round"]["held_out"] == held_out


def test_a_second_request_gets_the_live_round(service: Service) -> None:
    annotated(service)
    first, second = start(service), start(service)
    assert second["already_running"]
    assert second["round"]["id"] == first["round"]["id"]
    assert second["job"]["id"] == first["job"]["id"]


def test_requests_at_the_same_time_start_one_round(service: Service) -> None:
    annotated(service)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: start(service), range(4)))
    assert len({reply["round"]["id"] for reply in replies}) == 1
    assert sorted(reply["already_running"] for reply in replies) == [False, True, True, True]
    assert count(service, Job) == 1


def test_a_repeated_request_is_the_same_round_even_after_its_end(service: Service) -> None:
    annotated(service)
    first = start(service, **{"Idempotency-Key": "mine"})
    service.client.delete(f"/jobs/{first['job']['id']}")
    again = start(service, **{"Idempotency-Key": "mine"})
    assert again["round"]["id"] == first["round"]["id"]
    assert count(service, Round) == 1
    assert start(service)["round"]["id"] != first["round"]["id"]


def test_cancelling_the_job_abandons_the_round(service: Service) -> None:
    annotated(service)
    started = start(service)
    response = service.client.delete(f"/jobs/{started['job']['id']}")
    assert response.status_code < 300, response.text
    shown = held(service.client.get(f"/rounds/{started['round']['id']}").json(), RoundDetail)
    assert shown["state"] == "abandoned"
    assert "cancelled" in shown["reason"]
    assert shown["finished_at"]
    assert service.client.get("/rounds").json()["annotations_since"] == 0


def test_viewers_look_and_pathologists_start(service: Service) -> None:
    annotated(service)
    viewer = service.client_of(Role.VIEWER)
    refused(viewer.post("/rounds"), 403, "not_allowed")
    assert viewer.get("/rounds").json()["items"] == []
    assert service.client_of(Role.PATHOLOGIST).post("/rounds").status_code == 202
    [shown] = viewer.get("/rounds").json()["items"]
    assert viewer.get(f"/rounds/{shown['id']}").status_code == 200
    refused(viewer.get("/rounds/none"), 404, "round_not_found")


def test_rounds_come_newest_first_in_pages(service: Service) -> None:
    annotated(service)
    ids = []
    for _ in range(3):
        started = start(service)
        ids.append(started["round"]["id"])
        service.client.delete(f"/jobs/{started['job']['id']}")
    page = service.client.get("/rounds", params={"limit": 2}).json()
    rest = service.client.get("/rounds", params={"cursor": page["next_cursor"]}).json()
    assert [each["id"] for each in page["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


def with_settings(service: Service, **changes: Any) -> Settings:
    return service.settings.model_copy(update=changes)


def test_missing_encoder_weights_are_refused_before_anything_is_made(
    service: Service, tmp_path: Path
) -> None:
    annotated(service)
    absent = with_settings(service, encoder_weights=str(tmp_path / "absent.safetensors"))
    with pytest.raises(rounds.EncoderWeightsMissing, match="MEMBRANA_ENCODER_WEIGHTS") as refusal:
        rounds.start(service.database, absent)
    assert refusal.value.problem_code == "encoder_weights_missing"
    assert count(service, Round) == 0


def test_encoder_weights_may_be_a_folder_as_training_takes_it(
    service: Service, tmp_path: Path
) -> None:
    annotated(service)
    assert rounds.WEIGHTS_SUFFIXES == weights.WEIGHTS_SUFFIXES
    assert (rounds.SCRATCH, rounds.PACKAGED) == (networks.SCRATCH, networks.PACKAGED)
    folder = tmp_path / "encoders"
    folder.mkdir()
    wanted = with_settings(service, encoder_weights=str(folder), encoder="resnet18")

    def refuses(settings: Settings, words: str) -> None:
        with pytest.raises(rounds.EncoderWeightsMissing, match=words):
            rounds.start(service.database, settings)

    refuses(wanted, r"no weights of resnet18: put resnet18\.safetensors there")
    (folder / "resnet34.pt").touch()
    refuses(wanted, "no weights of resnet18")
    refuses(with_settings(service, encoder_weights=""), "no such file")
    (folder / "resnet18.pth").touch()
    row, _ = rounds.start(service.database, wanted)
    assert row.config["encoder_weights"] == str(folder)


def test_weights_that_no_package_brings_are_refused_before_anything_is_made(
    service: Service,
) -> None:
    annotated(service)
    assert packaged.PACKAGES.keys() == rounds.PACKAGED_ENCODERS
    [brought] = packaged.PACKAGES
    for encoder in ("resnet50", "resnet18", "tu-tf_efficientnet_lite1"):
        wanted = with_settings(service, encoder_weights="imagenet", encoder=encoder)
        with pytest.raises(rounds.EncoderWeightsMissing, match=f"{encoder}; of {brought}") as why:
            rounds.start(service.database, wanted)
        assert why.value.problem_code == "encoder_weights_missing"
    assert count(service, Round) == 0
    wanted = with_settings(service, encoder_weights="imagenet", encoder=brought)
    row, _ = rounds.start(service.database, wanted)
    assert row.config["encoder"] == brought


def consider(service: Service, threshold: int) -> str | None:
    row = rounds.consider(service.database, with_settings(service, round_annotations=threshold))
    return row.id if row else None


def test_enough_new_annotations_start_a_round(service: Service) -> None:
    slide_id = annotated(service, 2, 1)
    assert consider(service, 3) is None
    place = (2, 2)
    annotate(
        service.database, service.settings, slide_id, place, PatchRole.TRAINING, truth(1, *place)
    )
    first = consider(service, 3)
    assert first is not None
    assert consider(service, 1) is None, "one is live"
    shown = service.client.get(f"/rounds/{first}").json()
    assert shown["requested_by"] is None
    service.client.delete(f"/jobs/{shown['job']['id']}")
    assert consider(service, 1) is None, "nothing is new since"
    annotate(
        service.database, service.settings, slide_id, place, PatchRole.TRAINING, truth(1, 0, 0)
    )
    assert consider(service, 1) is not None, "a corrected correction is new"


def test_saving_the_tenth_training_mask_starts_a_round(service: Service) -> None:
    slide_id = add_slide(service.database, service.settings, 1)
    patches = service.client.get(f"/slides/{slide_id}/patches").json()["items"]
    for number, patch in enumerate(patches, 1):
        assert service.client.get("/rounds").json()["items"] == []
        saved = service.client.put(
            f"/patches/{patch['id']}/annotation",
            params={"source": "scratch", "seconds_spent": 1},
            headers={"If-Match": '"r0"', "Content-Type": "image/png"},
            content=png(truth(1, patch["row"], patch["column"])),
        )
        assert saved.status_code in {200, 201}, saved.text
        # each fifth patch of the first slide is held out: the 3rd, the 8th, the 13th
        if number - len(range(2, number, 5)) == service.settings.round_annotations:
            break
    [started] = service.client.get("/rounds").json()["items"]
    assert started["training_count"] == service.settings.round_annotations
    assert started["gold_count"] == number - service.settings.round_annotations
    assert started["held_out"] == "patch"


def test_a_mask_that_is_saved_while_a_snapshot_is_stored_is_in_the_round(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide_id = annotated(service, 2, 1)
    put = Blobs.put
    snapshots: list[str] = []

    def slow(self: Blobs, data: bytes) -> str:
        sha256 = put(self, data)
        if data.startswith(b'{"held_out"'):
            snapshots.append(sha256)
            if len(snapshots) == 1:
                mask = truth(1, 2, 2)
                role = PatchRole.TRAINING
                annotate(service.database, service.settings, slide_id, (2, 2), role, mask)
        return sha256

    monkeypatch.setattr(Blobs, "put", slow)
    started = start(service)["round"]
    assert (started["training_count"], started["gold_count"]) == (3, 1)
    assert started["snapshot_sha256"] == snapshots[1] != snapshots[0]
    snapshot = Snapshot.from_document(service.blobs.read(snapshots[1]))
    assert len(snapshot.patches) == 4
    assert service.client.get("/rounds").json()["annotations_since"] == 0


@pytest.mark.parametrize(("training", "gold", "threshold"), [(3, 1, 0), (3, 0, 2), (0, 3, 2)])
def test_no_round_starts_by_itself(
    service: Service, training: int, gold: int, threshold: int
) -> None:
    annotated(service, training, gold)
    assert consider(service, threshold) is None
    assert count(service, Round) == 0


def test_saving_never_fails_for_want_of_weights(service: Service, tmp_path: Path) -> None:
    annotated(service)
    settings = with_settings(service, round_annotations=1, encoder_weights=str(tmp_path / "no"))
    assert rounds.consider(service.database, settings) is None


def test_the_database_refuses_gold_as_training(service: Service) -> None:
    annotated(service, 1, 1)
    started = start(service)["round"]
    gold = select(Patch.id).where(Patch.role == PatchRole.GOLD).scalar_subquery()
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.execute(
            update(RoundPatch)
            .where(RoundPatch.round_id == started["id"], RoundPatch.patch_id == gold)
            .values(role=PatchRole.TRAINING)
        )
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.execute(update(Patch).where(Patch.id == gold).values(role=PatchRole.TRAINING))


def test_the_database_holds_one_live_round(service: Service) -> None:
    annotated(service)
    first = start(service)["round"]
    with pytest.raises(IntegrityError), service.database.writing() as session:
        session.add(
            Round(
                state=RoundState.TRAINING,
                parent_model_version_id=first["parent_model_version_id"],
            )
        )


def test_a_round_starts_from_the_active_version(service: Service) -> None:
    annotated(service)
    with service.database.reading() as session:
        active = session.scalars(
            select(ModelVersion).where(ModelVersion.state == ModelVersionState.ACTIVE)
        ).one()
    assert start(service)["round"]["parent_model_version_id"] == active.id
    assert count(service, Slide) == 1


def test_a_mask_is_saved_whatever_becomes_of_the_round(service: Service, tmp_path: Path) -> None:
    """The disk refuses the round's snapshot; the mask's transaction goes on as if none were due."""
    slide_id = annotated(service, 2, 1)
    nowhere = tmp_path / "a file"
    nowhere.touch()
    broken = with_settings(service, data=nowhere, round_annotations=1)
    patch_id = service.client.get(f"/slides/{slide_id}/patches").json()["items"][-1]["id"]
    mask = truth(1, 2, 2)
    draft = Draft(mask, base_revision=0, source=Source.SCRATCH, seconds_spent=None)
    with service.database.reading() as session:
        by = session.scalars(select(User).where(User.role == Role.PATHOLOGIST)).first()
        assert by is not None
        prepared = annotations.prepare(session, service.blobs, broken, patch_id, draft)
    with service.database.writing() as session:
        annotations.submit(session, broken, patch_id, prepared, by=by)
    assert count(service, Round) == 0
    assert service.client.get(f"/patches/{patch_id}").json()["revision"] == 1
    assert consider(service, 1) is not None, "the next one asks again"
