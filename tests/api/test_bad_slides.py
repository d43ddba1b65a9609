"""Every bad file: refused or failed with a code and a sentence, and the service goes on."""

import csv
from pathlib import Path

import pytest
import tifffile

from backend.job_kinds import JobKind
from backend.slides.catalogue import service as slides
from models.phantom import PhantomSpec, write
from tests.conftest import Service
from worker import conversion

INGEST = (JobKind.INGEST,)
REFUSED = {
    "empty.svs": "empty_file",
    "histolab_broken.svs": "not_an_image",
    "html_not_svs.svs": "not_an_image",
    "png_renamed.svs": "renamed_file",
    "text_renamed.tif": "not_an_image",
    "truncated_half.svs": "slide_truncated",
    "truncated_tail_4k.svs": "slide_truncated",
    # compressed in a way that nobody here decodes: refused by its tag, before any job
    "unopenable.tiff": "unsupported_compression",
}
FAILED = {"unreadable.svs": "slide_unreadable"}
PARTLY = {"tile_garbage.svs"}


def test_every_bad_file_of_the_manifest_is_tried(shared_data: Path) -> None:
    with (shared_data / "MANIFEST.csv").open() as file:
        listed = {row["path"] for row in csv.DictReader(file) if row["path"].startswith("wsi_bad/")}
    assert listed == {f"wsi_bad/{name}" for name in {*REFUSED, *FAILED, *PARTLY}}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_never_be_a_slide_is_refused_at_once(
    service: Service, shared_data: Path, name: str
) -> None:
    content = (shared_data / "wsi_bad" / name).read_bytes()
    answer = service.client.post("/slides", files={"file": (name, content)})
    assert (answer.status_code, answer.json()["code"]) == (422, REFUSED[name])
    assert is_a_sentence(answer.json()["detail"])
    assert service.client.get("/slides").json()["items"] == []
    assert list(service.blobs) == [] or all(
        service.blobs.read(each) != content for each in service.blobs
    )


@pytest.mark.parametrize("name", FAILED)
def test_what_cannot_be_read_fails_with_its_problem(
    service: Service, shared_data: Path, name: str
) -> None:
    content = (shared_data / "wsi_bad" / name).read_bytes()
    slide_id = service.client.post("/slides", files={"file": (name, content)}).json()["id"]
    service.run_jobs(INGEST)
    slide = service.client.get(f"/slides/{slide_id}").json()
    assert slide["state"] == "failed"
    assert slide["problem"]["code"] == FAILED[name]
    assert is_a_sentence(slide["problem"]["detail"])
    # sent again, it is tried again, and again said to be unreadable
    again = service.client.post("/slides", files={"file": (name, content)})
    assert (again.status_code, again.json()["id"]) == (200, slide_id)
    assert again.json()["state"] == "ingesting"
    service.run_jobs(INGEST)
    assert service.client.get(f"/slides/{slide_id}").json()["problem"] == slide["problem"]


def test_a_slide_damaged_in_places_loses_only_these(service: Service, shared_data: Path) -> None:
    content = (shared_data / "wsi_bad" / "tile_garbage.svs").read_bytes()
    whole = (shared_data / "wsi_vendor" / "CMU-1-Small-Region.svs").read_bytes()
    ids = [
        service.client.post("/slides", files={"file": ("a.svs", each)}).json()["id"]
        for each in (content, whole)
    ]
    service.run_jobs(INGEST)
    damaged, intact = (service.client.get(f"/slides/{each}").json() for each in ids)
    assert damaged["state"] == intact["state"] == "ready"
    assert "unreadable_regions" in damaged["qc"]
    assert "unreadable_regions" not in intact["qc"]
    places = [
        {(patch["row"], patch["column"]): patch for patch in patches(service, each)} for each in ids
    ]
    bad = [place for place, patch in places[0].items() if patch["problem"]]
    assert 1 <= len(bad) < 30
    assert {patch["problem"]["code"] for patch in places[0].values() if patch["problem"]} == {
        "region_unreadable"
    }
    assert len(set(places[1]) - set(places[0])) <= 0.05 * len(places[1])
    # seen as a whole, the damage is a hole in the picture and not a missing tile
    whole_tile = service.client.get(f"/slides/{ids[0]}_files/8/0_0.png")
    assert whole_tile.status_code == 200


def test_the_service_keeps_serving_among_bad_files(service: Service, shared_data: Path) -> None:
    for path in sorted((shared_data / "wsi_bad").iterdir()):
        service.client.post("/slides", files={"file": (path.name, path.read_bytes())})
    good = (shared_data / "wsi_her2" / "tma_3plus.svs").read_bytes()
    slide_id = service.client.post("/slides", files={"file": ("good", good)}).json()["id"]
    service.run_jobs(INGEST)
    assert service.client.get(f"/slides/{slide_id}").json()["state"] == "ready"
    for slide in service.client.get("/slides").json()["items"]:
        assert slide["state"] in {"ready", "failed"}
        for place in (".dzi", "_files/0/0_0.jpeg", "/thumbnail.jpeg"):
            assert service.client.get(f"/slides/{slide['id']}{place}").status_code < 500
    assert service.client.get(f"/slides/{slide_id}_files/13/8_8.jpeg").status_code == 200


def patches(service: Service, slide_id: str) -> list[dict[str, object]]:
    params = {"order": "position", "limit": 1000}
    items: list[dict[str, object]] = service.client.get(
        f"/slides/{slide_id}/patches", params=params
    ).json()["items"]
    return items


def is_a_sentence(text: str) -> bool:
    """A technician can act on it: words, an end, and none of this server's paths."""
    return len(text.split()) > 4 and text.rstrip().endswith(".") and "/tmp" not in text


def test_a_damaged_slide_without_levels_keeps_its_damage_marked(
    service: Service, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pyramid would have shown bare glass there, as if it were."""
    monkeypatch.setattr(conversion, "COARSEST_PX", 1000)
    content = (shared_data / "wsi_bad" / "tile_garbage.svs").read_bytes()
    slide_id = service.client.post("/slides", files={"file": ("a.svs", content)}).json()["id"]
    service.run_jobs(INGEST)
    slide = service.client.get(f"/slides/{slide_id}").json()
    assert slide["state"] == "ready"
    assert "unreadable_regions" in slide["qc"]
    assert list(service.settings.slide_folder.glob("*.tif")) == []


def test_damage_that_decoders_pass_over_is_marked_and_not_shown(
    service: Service, tmp_path: Path
) -> None:
    """Bits that leave coded data over: OpenSlide makes tissue of them; nobody may see it."""
    path = tmp_path / "a.tif"
    write(PhantomSpec(width=2500, height=2048, seed=3), path, threads=2)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        across = -(-page.imagewidth // page.tilewidth)
        middle = across * (page.imagelength // page.tilelength // 2) + across // 2
        offset, length = page.dataoffsets[middle], page.databytecounts[middle]
        row, column = divmod(middle, across)
        box = [0, column * page.tilewidth, row * page.tilelength, page.tilewidth, page.tilelength]
    data = bytearray(path.read_bytes())
    data[offset + length // 2 : offset + length // 2 + 64] = bytes(64)
    slide_id = service.client.post("/slides", files={"file": ("a.tif", bytes(data))}).json()["id"]
    service.run_jobs(INGEST)
    slide = service.client.get(f"/slides/{slide_id}").json()
    assert slide["state"] == "ready"
    assert "unreadable_regions" in slide["qc"]
    with service.database.reading() as session:
        assert slides.get(session, slide_id).damaged_tiles == [box]
    _, x, y, width, height = box
    for patch in patches(service, slide_id):
        there = (
            patch["x"] < x + width
            and x < patch["x"] + patch["size"]
            and patch["y"] < y + height
            and y < patch["y"] + patch["size"]
        )
        if there:
            assert patch["problem"]["code"] == "region_unreadable"
            assert service.client.get(f"/patches/{patch['id']}/image.png").status_code == 422
    assert any(patch["problem"] is None for patch in patches(service, slide_id))
