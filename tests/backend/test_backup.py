"""A backup of a running installation, brought back into an empty one: every row, every file."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import create_engine, inspect, make_url, select, text
from starlette.testclient import TestClient

from backend.app import create_app
from backend.backup import service as backup
from backend.blob_names import SHA256_LENGTH, SILENT, blob_names
from backend.kit import signing_key
from backend.kit.db.session import Database, get_database
from backend.kit.errors import MembranaError
from backend.kit.events import service as events
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.sweeping import pause_file
from backend.people.audit import verification
from backend.settings import Settings, get_settings
from backend.storage_check import BLOBS, NO_BLOBS, check, references
from backend.tables import Base
from tests.conftest import Service
from tests.support.ready import patches_of, put, some_mask
from tests.support.scoring import computed, pathologist, sign, slide_with_tumour
from tests.support.tus import begin, encoded, send
from tests.worker.test_cleanup import clean_up


def silent(*_: float) -> None:
    """Show nobody how far it is."""


@pytest.fixture
def filled(service: Service) -> Service:
    """An installation with a slide, masks, a signed report, a score and half an upload."""
    slide_id = slide_with_tumour(service)
    for number, patch in enumerate(patches_of(service.client, slide_id)[:3]):
        put(service.client, patch["id"], some_mask(number)).raise_for_status()
    report_id = computed(service, slide_id)
    said = {"edits": [{"cell": 0, "action": "exclude"}], "reason": "a lymphocyte"}
    service.client.post(f"/reports/{report_id}/cells", json=said).raise_for_status()
    service.client.put(f"/slides/{slide_id}/score", json={}).raise_for_status()
    service.run_jobs()
    assert sign(pathologist(service), report_id).status_code == 200
    metadata = encoded(filename="half.svs", stain="HER2")
    place = begin(service.client, 100, **{"Upload-Metadata": metadata})
    send(service.client, place, 0, b"half").raise_for_status()
    return service


@pytest.fixture
def elsewhere(
    filled: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Settings]]:
    """Return a function that makes the settings of an empty installation those of this process."""
    url = make_url(filled.settings.sqlalchemy_url)
    changed: list[Settings] = []

    def move() -> Settings:
        monkeypatch.setenv("MEMBRANA_DATA", str(tmp_path / "restored"))
        monkeypatch.setenv("MEMBRANA_SIGNING_KEY", str(filled.settings.signing_key_file))
        if url.get_backend_name() == "postgresql":
            other = url.set(database="restored").render_as_string(hide_password=False)
            monkeypatch.setenv("MEMBRANA_DATABASE_URL", other)
            on_server(url, "DROP DATABASE IF EXISTS restored", "CREATE DATABASE restored")
        get_settings.cache_clear()
        changed.append(get_settings())
        return changed[-1]

    yield move
    for each in changed:
        get_database(each.sqlalchemy_url).dispose()
    monkeypatch.undo()
    get_settings.cache_clear()
    if url.get_backend_name() == "postgresql":
        on_server(url, "DROP DATABASE IF EXISTS restored")


def on_server(url: Any, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for each in statements:
            connection.execute(text(each))
    engine.dispose()


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.engine.connect() as connection:
        names = inspect(connection).get_table_names()
        assert {table.name for table in Base.metadata.sorted_tables} <= set(names)
        found = {
            name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')).all()))
            for name in names
        }
    assert found["annotations"]
    assert found["reports"]
    return found


def files(data: Path) -> dict[str, bytes]:
    folders = ("blobs", "pyramids", "slides", "uploads")
    return {
        str(path.relative_to(data)): path.read_bytes()
        for folder in folders
        for path in (data / folder).rglob("*")
        if path.is_file()
    }


def code_of(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(MembranaError) as error:
        call()
    return error.value.problem_code, error.value.detail


def test_every_row_and_file_comes_back(
    filled: Service, elsewhere: Callable[[], Settings], tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    made = backup.make(filled.settings, target, progress=silent)
    assert (made.missing, made.damaged) == ([], [])
    before, stored = rows(filled.database), files(filled.data)
    assert any(name.startswith("uploads/") for name in stored)
    inside = lambda: backup.make(filled.settings, filled.data / "b", progress=silent)  # noqa: E731
    assert code_of(inside)[0] == "backup_inside_data"
    again = lambda: backup.make(filled.settings, target, progress=silent)  # noqa: E731
    assert code_of(again)[0] == "not_empty"

    settings = elsewhere()
    backup.restore(settings, target, progress=silent)
    database = get_database(settings.sqlalchemy_url)
    assert rows(database) == before
    assert files(settings.data) == stored
    assert code_of(lambda: backup.restore(settings, target, progress=silent))[0] == "not_empty"

    # it works on: what is signed is valid, the trail is whole, guards and counters are there
    keys = signing_key.trusted(settings.signing_key_file)
    with database.reading() as session:
        assert verification.verify(session, keys).findings == []
        assert check(session, Blobs(settings.blob_folder)).findings == []
        newest = events.newest_ids(session, 1)
    with database.writing() as session:
        events.announce(session, "slide", "1", {})
    with database.reading() as session:
        assert events.newest_ids(session, 1) > newest
    client = TestClient(create_app(settings), base_url="http://testserver/api/v1")
    client.headers["Authorization"] = filled.client.headers["Authorization"]
    with client:
        slide_id = client.get("/slides").json()["items"][0]["id"]
        signed = client.get(f"/slides/{slide_id}/reports").json()["items"][0]["id"]
        assert client.get(f"/reports/{signed}/signature").json()["standing"] == "valid"


def test_a_backup_that_was_changed_is_refused_and_leaves_no_database(
    filled: Service, elsewhere: Callable[[], Settings], tmp_path: Path
) -> None:
    whole = tmp_path / "backup"
    backup.make(filled.settings, whole, progress=silent)
    settings = elsewhere()

    def refused(change: Callable[[Path], object]) -> tuple[str, str]:
        copy = tmp_path / "copy"
        shutil.copytree(whole, copy)
        change(copy)
        told = code_of(lambda: backup.restore(settings, copy, progress=silent))
        shutil.rmtree(copy)
        shutil.rmtree(settings.data, ignore_errors=True)
        return told

    [blob, *_] = [each for each in (whole / "files" / "blobs").rglob("*") if each.is_file()]
    at = blob.relative_to(whole)
    assert refused(lambda copy: (copy / at).write_bytes(b"other"))[0] == "backup_damaged"
    assert blob.name in refused(lambda copy: (copy / at).unlink())[1]
    for name in json.loads((whole / "manifest.json").read_bytes())["sha256"]:
        told = refused(lambda copy, name=name: (copy / name).write_bytes(b"other"))
        assert told[0] == "backup_damaged"
    assert refused(lambda copy: (copy / "manifest.json").unlink())[0] == "no_backup"

    def leading_out(copy: Path) -> None:
        listed = (copy / "files.jsonl").read_bytes().replace(b'"blobs/', b'"../blobs/', 1)
        (copy / "files.jsonl").write_bytes(listed)
        manifest = json.loads((copy / "manifest.json").read_bytes())
        manifest["sha256"]["files.jsonl"] = backup.file_sha256(copy / "files.jsonl")
        (copy / "manifest.json").write_text(json.dumps(manifest))

    assert "no data folder" in refused(leading_out)[1]
    database = get_database(settings.sqlalchemy_url)
    if database.engine.dialect.name == "postgresql":
        assert inspect(database.engine).get_table_names() == []


def test_the_scrub_names_what_is_missing_or_damaged(filled: Service) -> None:
    def checked() -> Any:
        with filled.database.reading() as session:
            return check(session, filled.blobs)

    whole = checked()
    assert whole.findings == []
    filled.blobs.put(b"nothing names this")
    assert checked().orphans == whole.orphans + 1
    with filled.database.reading() as session:
        annotations, slides = (Base.metadata.tables[name] for name in ("annotations", "slides"))
        mask = session.execute(select(annotations).limit(1)).mappings().one()
        slide = session.execute(select(slides)).mappings().one()
        # what rows name and is there is all looked at
        there = set(filled.blobs)
        assert blob_names(session) & there == {each.sha256 for each in references(session)} & there
    filled.blobs.path(mask["mask_sha256"]).write_bytes(b"no mask")
    filled.blobs.path(slide["sha256"]).unlink()
    findings = checked().findings
    assert (
        f"The mask of patch {mask['patch_id']}, revision {mask['revision']} is damaged: "
        f"{mask['mask_sha256']}"
    ) in findings
    assert f"The file of slide {slide['id']} is missing: {slide['sha256']}" in findings


def test_every_column_that_could_name_a_blob_is_known() -> None:
    columns = {
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        if table.name not in SILENT
        for column in table.columns
        if getattr(column.type, "length", None) == SHA256_LENGTH and "sha256" in column.name
    }
    assert columns == {pair for pair in BLOBS if "sha256" in pair[1]} | NO_BLOBS


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_nothing_is_swept_while_a_backup_is_made(service: Service) -> None:
    with FileLock(pause_file(service.data)):
        clean_up(service.database, service.settings)
    clean_up(service.database, service.settings)
