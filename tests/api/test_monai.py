"""MONAI Label's own client, as it comes from PyPI, against the service's own server."""

import io
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import uvicorn
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from PIL import Image
from starlette.testclient import TestClient

from backend.connections import BoundedConnection
from backend.job_kinds import JobKind
from backend.people.users.tables import Role
from tests.conftest import Service
from tests.support.installation import free_port, until
from tests.support.ready import (
    PREDICT,
    code,
    patches_of,
    pixels,
    png,
    predicted_slide,
    ready_slide,
    some_mask,
)

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """The service behind a real socket, by the server of `membrana api`."""
    port = free_port()
    config = uvicorn.Config(
        service.client.app, port=port, http=BoundedConnection, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server to listen")
    yield f"http://127.0.0.1:{port}/api/v1/monai"
    server.should_exit = True
    thread.join()


def client_of(service: Service, address: str, tmp_path: Path, role: Role) -> MONAILabelClient:
    client = MONAILabelClient(address, tmpdir=str(tmp_path))
    scheme, token = service.client_of(role).headers["Authorization"].split()
    client.update_auth({"token_type": scheme, "access_token": token})
    return client


def mask_in(file: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(Path(file).read_bytes())))


def written(tmp_path: Path, mask: np.ndarray) -> str:
    path = tmp_path / "label.png"
    path.write_bytes(png(mask))
    return str(path)


def test_its_client_annotates_and_trains(service: Service, address: str, tmp_path: Path) -> None:
    slide_id = predicted_slide(service)
    client = client_of(service, address, tmp_path, Role.PATHOLOGIST)
    info = client.info()
    assert (info["labels"], info["datastore"]["completed"]) == (["membrane"], 0)
    assert info["datastore"]["total"] == len(patches_of(service.client, slide_id))
    assert info["models"]["cold-start"]["config"]["active"]
    assert info["models"]["cold-start"]["type"] == "segmentation"
    assert "uncertainty" in info["strategies"]
    assert not client.train_status(check_if_running=True)

    for number in range(6):
        sample = client.next_sample("uncertainty", {"slide_id": slide_id})
        patch = service.client.get(f"/patches/{sample['id']}").json()
        assert (patch["state"], patch["x"]) == ("in_annotation", sample["x"])
        file, said = client.infer("cold-start", sample["id"], {})
        proposal = mask_in(file)
        shown = pixels(service.client.get(f"/patches/{sample['id']}/proposal.png"))
        np.testing.assert_array_equal(proposal, shown)
        assert (said["model"], said["label_names"]) == ("cold-start", {"membrane": 255})
        mask = proposal.copy()
        mask[: 8 * (number + 1)] = 255
        saved = client.save_label(
            sample["id"], written(tmp_path, mask), params={"seconds_spent": 30}
        )
        assert (saved["image"], saved["revision"]) == (sample["id"], 1)
        np.testing.assert_array_equal(mask_in(client.download_label(saved["label"], "final")), mask)
    assert client.next_sample("uncertainty", {"slide_id": slide_id}) == {}
    stored = client.datastore()["objects"]
    assert {each["labels"]["final"]["info"]["revision"] for each in stored.values()} == {1}
    assert len(stored) == 6
    [first, *_] = service.client.get(f"/patches/{sample['id']}/annotations").json()["items"]
    assert (first["source"], first["seconds_spent"]) == ("edited", 30)
    assert client.info()["datastore"]["completed"] == 6

    task = client.train_start("eugmt-plus", {})
    assert (task["category"], task["status"]) == ("train", "PENDING")
    assert client.train_status(check_if_running=True)
    assert client.train_stop()["status"] == "CANCELED"
    assert not client.train_status(check_if_running=True)
    again = client.train_start("", {})
    service.run_jobs((JobKind.TRAIN,))
    assert client.train_status()["id"] == again["id"]
    assert client.train_status()["status"] == "DONE"
    [newest, *_] = service.client.get("/rounds").json()["items"]
    assert (newest["id"], newest["model_version_id"] is not None) == (again["round_id"], True)


def refused(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(MONAILabelClientException) as error:
        call(*args, **kwargs)
    return str(error.value.msg)


def test_nothing_is_saved_over_anybody_and_bad_input_is_told(
    service: Service, address: str, tmp_path: Path
) -> None:
    slide_id = predicted_slide(service)
    patch_id = patches_of(service.client, slide_id)[0]["id"]
    first = client_of(service, address, tmp_path, Role.PATHOLOGIST)
    second = client_of(service, address, tmp_path, Role.PATHOLOGIST)
    label = written(tmp_path, some_mask())
    assert first.save_label(patch_id, label)["revision"] == 1
    assert first.save_label(patch_id, written(tmp_path, some_mask(1)))["revision"] == 2, "own"
    other = written(tmp_path, some_mask(2))
    assert '"stale"' in refused(second.save_label, patch_id, other)
    assert '"stale"' in refused(second.save_label, patch_id, other, params={"revision": 1})
    assert second.save_label(patch_id, other, params={"revision": 2})["revision"] == 3
    assert "label_tag_unknown" in refused(first.save_label, patch_id, other, tag="original")
    assert "mask_wrong_size" in refused(
        second.save_label, patch_id, written(tmp_path, np.zeros((8, 8), np.uint8))
    )
    assert "patch_not_found" in refused(first.infer, "active", "none", {})
    assert "model_version_not_found" in refused(first.infer, "none", patch_id, {})
    assert "image_required" in refused(first.infer, "active", "", {}, file=other)
    assert "not_allowed" in refused(
        client_of(service, address, tmp_path, Role.VIEWER).save_label, patch_id, other
    )
    assert "too_few" in refused(first.train_start, "x", {}) or first.train_stop()


def test_a_model_that_has_not_seen_the_patch_is_asked_first(
    service: Service, address: str, tmp_path: Path
) -> None:
    patch_id = patches_of(service.client, ready_slide(service))[0]["id"]
    client = client_of(service, address, tmp_path, Role.PATHOLOGIST)
    assert "prediction_pending" in refused(client.infer, "active", patch_id, {})
    service.run_jobs(PREDICT)
    file, _ = client.infer("active", patch_id, {})
    assert set(np.unique(mask_in(file))) <= {0, 255}


def test_forms_are_bounded_and_addresses_taken_with_and_without_a_slash(service: Service) -> None:
    patch_id = patches_of(service.client, predicted_slide(service))[0]["id"]
    api: TestClient = service.client
    for path in ("info", "datastore"):
        assert api.get(f"/monai/{path}/").json() == api.get(f"/monai/{path}").json()
    assert code(api.get("/monai/train/")) == (404, "no_training")
    assert code(api.post("/monai/activelearning/guess", json={})) == (422, "invalid")
    where = f"/monai/datastore/label?image={patch_id}"
    for files, wanted in (
        ({"label": b"\0" * 2**21}, (413, "mask_too_large")),
        ({"label": b"no picture"}, (422, "mask_not_png")),
        ({"other": png(some_mask())}, (422, "label_required")),
    ):
        assert code(api.put(where, files=files)) == wanted
    assert code(
        api.put(where, content=b"--x", headers={"Content-Type": "multipart/form-data"})
    ) == (
        422,
        "monai_form_invalid",
    )
    for params in ("[]", "{", '{"revision": "1"}', '{"seconds_spent": true}'):
        sent = {"files": {"label": png(some_mask())}, "data": {"params": params}}
        assert api.put(where, **sent).status_code == 422
    listed = api.get("/monai/datastore", params={"output": "all", "slide_id": "none"})
    assert code(listed) == (404, "slide_not_found")
    answer = api.post(f"/monai/infer/active?image={patch_id}&output=image", files={"params": b"{}"})
    assert answer.status_code == 422, "no files"
    answer = api.post(
        f"/monai/infer/active?image={patch_id}&output=image",
        data={"params": "{}"},
    )
    assert pixels(answer).shape == (256, 256)
    assert (
        api.get(f"/monai/datastore/image?image={patch_id}").headers["Content-Type"] == "image/png"
    )
    assert code(api.get(f"/monai/datastore/label?label={patch_id}")) == (404, "no_annotation")
