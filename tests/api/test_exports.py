"""A slide's masks as PNG, COCO, OME-Zarr and DICOM: every pixel, and whose work each mask is."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import highdicom as hd
import numpy as np
import pydicom
import pytest
import zarr
from pycocotools.coco import COCO
from zarr.storage import ZipStore

from backend.exchange.masks import contents
from backend.exchange.masks import service as exports
from backend.exchange.masks.formats import NAMES, coco, dicom_seg, ome_zarr, png
from backend.exchange.masks.manifest import Manifest
from backend.job_kinds import JobKind
from backend.kit.storage.blobs import Blobs
from backend.people.users.tables import Role
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import in_grid_order
from models.cold_start import ColdStart
from models.tiling import BLENDED
from tests.conftest import Service
from tests.support.dicom_slide import dicom_file
from tests.support.intake import ingested
from tests.support.ready import (
    PREDICT,
    code,
    patches_of,
    pixels,
    predicted_slide,
    put,
    ready_slide,
    request,
    some_mask,
)

Json = dict[str, Any]
SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
WIDTH, HEIGHT = 1300, 600
"""Six columns and three rows, the last of each beyond the slide's edge."""
EMPTY = np.zeros((256, 256), np.uint8)


def place(slide_id: str, kind: str, **query: Any) -> str:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"/slides/{slide_id}/export?format={kind}{more}"


def fetched(service: Service, slide_id: str, kind: str, **query: Any) -> ZipFile:
    answer = service.client.get(place(slide_id, kind, **query))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    found = ZipFile(io.BytesIO(answer.content))
    assert found.testzip() is None
    return found


def read(archive: ZipFile, name: str) -> Json:
    found: Json = json.loads(archive.read(name))
    return found


def annotated(service: Service, slide_id: str) -> dict[tuple[int, int], np.ndarray]:
    """Annotate every second patch; return the masks by row and column."""
    masks = {}
    for number, patch in enumerate(patches_of(service.client, slide_id, order="position")):
        if number % 2 == 0:
            mask = some_mask(number) if number else EMPTY
            put(service.client, patch["id"], mask).raise_for_status()
            masks[patch["row"], patch["column"]] = mask
    return masks


@pytest.fixture
def slide_id(service: Service) -> str:
    return ready_slide(service, width=WIDTH, height=HEIGHT)


def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page of rows be shorter than a slide."""
    monkeypatch.setattr(in_grid_order, "PAGE", 2)


def test_every_mask_is_a_png_and_the_manifest_says_whose(
    service: Service, slide_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_pieces(monkeypatch)
    masks = annotated(service, slide_id)
    first = patches_of(service.client, slide_id, order="position")[0]["id"]
    put(service.client, first, some_mask(99), if_match='"r1"').raise_for_status()
    masks[0, 0] = some_mask(99)
    archive = fetched(service, slide_id, "png")
    manifest = read(archive, "manifest.json")
    assert len(archive.namelist()) == len(masks) + 1
    with service.database.reading() as session:
        slide = session.get_one(Slide, slide_id)
    assert manifest["slide"]["sha256"] == slide.sha256
    assert manifest["slide"]["mpp"] == 0.25
    assert manifest["proposals"] is None
    assert slide.name not in archive.read("manifest.json").decode()
    people = service.client.get("/users").json()["items"]
    for each in manifest["patches"]:
        mask = masks.pop((each["row"], each["column"]))
        with archive.open(each["file"]) as file:
            np.testing.assert_array_equal(png_of(file.read()), mask)
        assert each["box"] == {
            "x": 256 * each["column"], "y": 256 * each["row"], "width": 256, "height": 256,
        }  # fmt: skip
        assert each["drawn_by"] == "person"
        assert each["author"] in {user["id"] for user in people}
        assert each["revision"] == (2 if each["patch_id"] == first else 1)
        assert service.blobs.has(each["mask_sha256"])
    assert not masks


def png_of(content: bytes) -> np.ndarray:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(content)))


@SQLITE
def test_equal_masks_make_equal_bytes_and_other_masks_another_basis(
    service: Service, slide_id: str
) -> None:
    annotated(service, slide_id)
    patches = patches_of(service.client, slide_id, order="position")
    for kind in ("png", "coco", "ome-zarr"):
        first, again = (service.client.get(place(slide_id, kind)).content for _ in range(2))
        assert first == again
    before = read(fetched(service, slide_id, "png"), "manifest.json")["basis"]
    put(service.client, patches[1]["id"], some_mask(1)).raise_for_status()
    assert read(fetched(service, slide_id, "png"), "manifest.json")["basis"] != before


def loaded(archive: ZipFile, folder: Path) -> COCO:
    """Read the annotations as everybody does; pycocotools prints what it does."""
    with redirect_stdout(io.StringIO()):
        return COCO(archive.extract("annotations.json", folder))


@SQLITE
def test_coco_keeps_every_pixel_of_membrane_and_of_what_to_ignore(
    service: Service, slide_id: str, tmp_path: Path
) -> None:
    """Membrane are objects of polygons, to be trained on; what to ignore is COCO's crowd."""
    masks = annotated(service, slide_id)
    archive = fetched(service, slide_id, "coco")
    found, coco_set = read(archive, "annotations.json"), loaded(archive, tmp_path)
    images = {each["id"]: each for each in found["images"]}
    assert len(images) == len(masks), "an empty patch is an image too"
    assert len({each["id"] for each in found["annotations"]}) == len(found["annotations"])
    names = {each["id"]: each["name"] for each in found["categories"]}
    drawn_again = {key: np.zeros((256, 256), np.uint8) for key in masks}
    for each in found["annotations"]:
        image = images[each["image_id"]]
        inside = coco_set.annToMask(coco_set.anns[each["id"]]).astype(bool)
        assert (image["width"], image["height"]) == inside.shape == (256, 256)
        x, y, width, height = each["bbox"]
        assert each["area"] == inside.sum() == inside[y : y + height, x : x + width].sum()
        for edge in (inside[y], inside[:, x], inside[y + height - 1], inside[:, x + width - 1]):
            assert edge.any()
        membrane = names[each["category_id"]] == "membrane"
        assert each["iscrowd"] == (0 if membrane else 1)
        assert isinstance(each["segmentation"], list if membrane else dict)
        at = image["membrana"]["row"], image["membrana"]["column"]
        value = {"membrane": 255, "ignore": 127}[names[each["category_id"]]]
        drawn_again[at][inside] = value
    for key, mask in masks.items():
        np.testing.assert_array_equal(drawn_again[key], mask)
    noted = read(archive, "manifest.json")["patches"]
    assert [each["image_id"] for each in noted] == list(images)


@SQLITE
def test_ome_zarr_is_a_label_pyramid_over_the_whole_slide(
    service: Service, slide_id: str, tmp_path: Path
) -> None:
    masks = annotated(service, slide_id)
    target = tmp_path / "masks.zip"
    target.write_bytes(service.client.get(place(slide_id, "ome-zarr")).content)
    group = zarr.open_group(ZipStore(target, mode="r"), mode="r")
    ome: Any = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert {each["label-value"] for each in ome["image-label"]["colors"]} == {127, 255}
    [multiscale] = ome["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["y", "x"]
    whole = np.zeros((3 * 256, 6 * 256), np.uint8)
    for (row, column), mask in masks.items():
        whole[256 * row :, 256 * column :][:256, :256] = mask
    assert len(multiscale["datasets"]) == 4
    for level, dataset in enumerate(multiscale["datasets"]):
        array = group[dataset["path"]]
        height, width = -(-HEIGHT // 2**level), -(-WIDTH // 2**level)
        assert array.shape == (height, width)
        assert dataset["coordinateTransformations"][0]["scale"] == [0.25 * 2**level] * 2
        np.testing.assert_array_equal(array[:], whole[:height, :width])
        whole = np.pad(whole, [(0, side % 2) for side in whole.shape])
        whole = whole.reshape(whole.shape[0] // 2, 2, -1, 2).max(axis=(1, 3))
    noted = read(ZipFile(target), "manifest.json")["patches"]
    assert len(noted) == len(masks)


@SQLITE
def test_proposals_fill_in_where_nobody_has_drawn_and_are_told_apart(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_pieces(monkeypatch)
    slide_id = predicted_slide(service, width=WIDTH, height=HEIGHT)
    masks = annotated(service, slide_id)
    assert len(fetched(service, slide_id, "png").namelist()) == len(masks) + 1
    archive = fetched(service, slide_id, "png", proposals="true")
    manifest = read(archive, "manifest.json")
    patches = patches_of(service.client, slide_id, order="position")
    assert [each["patch_id"] for each in manifest["patches"]] == [each["id"] for each in patches]
    assert manifest["proposals"]["kind"] == "cold-start"
    assert len(manifest["proposals"]["prediction_sha256"]) == 64
    assert manifest["proposals"]["computed_by"] == [f"{ColdStart().backend}, {BLENDED.name}"]
    for each in manifest["patches"]:
        mask = png_of(archive.read(each["file"]))
        if each["drawn_by"] == "person":
            assert each["file"].startswith("masks/")
            np.testing.assert_array_equal(mask, masks[each["row"], each["column"]])
        else:
            assert each["file"].startswith("proposals/")
            assert each["model_version"] == manifest["proposals"]["model_version"]
            shown = service.client.get(f"/patches/{each['patch_id']}/proposal.png")
            np.testing.assert_array_equal(mask, pixels(shown))


@SQLITE
def test_a_slide_without_masks_says_so(service: Service, slide_id: str) -> None:
    for kind in NAMES:
        for proposals in ("false", "true"):
            answer = service.client.get(place(slide_id, kind, proposals=proposals))
            assert code(answer) == (409, "nothing_to_export"), kind
    assert code(service.client.get(place("none", "png"))) == (404, "slide_not_found")
    assert code(service.client.get(place(slide_id, "tiff"))) == (422, "invalid")
    assert code(service.client.get(f"/slides/{slide_id}/export")) == (422, "invalid")


class Counting(Blobs):
    """Blobs that count how often one was read."""

    reads = 0

    def read(self, sha256: str) -> bytes:
        self.reads += 1
        return super().read(sha256)


@SQLITE
def test_masks_are_read_one_by_one_while_they_are_sent(service: Service, slide_id: str) -> None:
    masks = annotated(service, slide_id)
    with service.database.reading() as session:
        found = contents.of_slide(session, slide_id, with_proposals=False)
    for form in (png.FORMAT, ome_zarr.FORMAT):
        blobs = Counting(service.settings.blob_folder)
        one_by_one(exports.archive(found, form, service.database, blobs, service.settings), blobs)
        assert blobs.reads == len(masks)
    blobs = Counting(service.settings.blob_folder)
    items = found.items(service.database, blobs, service.settings)
    one_by_one(coco.pieces(items, Manifest(found, "coco", 0.25)), blobs)
    assert blobs.reads == len(masks)


def one_by_one(pieces: Iterator[bytes], blobs: Counting) -> None:
    before = 0
    for _ in pieces:
        assert blobs.reads <= before + 2
        before = blobs.reads


def segmentation(content: bytes) -> hd.seg.Segmentation:
    return hd.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(content)))


@SQLITE
def test_a_dicom_slide_has_a_segmentation_once_its_job_is_done(service: Service) -> None:
    slide = ingested(service, dicom_file(768, 640).read_bytes(), "slide.dcm")
    there = place(slide["id"], "dicom-seg")
    patches = patches_of(service.client, slide["id"], order="position")
    put(service.client, patches[0]["id"], EMPTY).raise_for_status()
    viewer = service.client_of(Role.VIEWER)
    assert viewer.get(there).status_code == 202
    service.run_jobs((JobKind.EXPORT,))
    [failed] = service.client.get("/jobs", params={"kind": "export"}).json()["items"]
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "no_segmentation")

    put(service.client, patches[1]["id"], some_mask(1)).raise_for_status()
    put(service.client, patches[5]["id"], some_mask(5)).raise_for_status()
    asked = viewer.get(there)
    assert asked.status_code == 202
    assert asked.headers["Location"].endswith(there)
    assert viewer.get(there).json()["id"] == asked.json()["id"], "asked twice, made once"
    service.run_jobs((JobKind.EXPORT,))
    made = viewer.get(there)
    assert made.status_code == 200, made.text
    assert made.headers["Content-Type"] == "application/dicom"
    mask = segmentation(made.content)
    [described] = mask.SegmentSequence
    assert described.SegmentAlgorithmType == "MANUAL"
    whole = np.zeros((768, 768), bool)
    for number in (1, 5):
        row, column = patches[number]["row"], patches[number]["column"]
        there_ = whole[256 * row :, 256 * column :][:256, :256]
        there_ |= (some_mask(number) == 255)[: there_.shape[0], : there_.shape[1]]
    found = mask.get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(found > 0, whole[:640])
    listed = viewer.get(f"/slides/{slide['id']}/export/manifest.json").json()
    assert [each["patch_id"] for each in listed["patches"]] == [
        patches[number]["id"] for number in (0, 1, 5)
    ]

    put(service.client, patches[1]["id"], EMPTY, if_match='"r1"').raise_for_status()
    assert viewer.get(there).status_code == 202, "the masks are others now"
    service.run_jobs((JobKind.EXPORT,))
    later = segmentation(viewer.get(there).content)
    assert later.SOPInstanceUID != mask.SOPInstanceUID
    kept = list(
        (service.settings.pyramid_folder / slide["sha256"]).glob(
            f"*{exports.ending_of(dicom_seg.FORMAT)}"
        )
    )
    assert len(kept) == 1

    request(service, slide["id"])
    service.run_jobs(PREDICT)
    filled = place(slide["id"], "dicom-seg", proposals="true")
    assert viewer.get(filled).status_code == 202
    service.run_jobs((JobKind.EXPORT,))
    both = segmentation(viewer.get(filled).content)
    assert both.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    shown = both.get_total_pixel_matrix(combine_segments=True) > 0
    row, column = patches[5]["row"], patches[5]["column"]
    part = shown[256 * row :, 256 * column :][:256, :256]
    expected = (some_mask(5) == 255)[: part.shape[0], : part.shape[1]]
    np.testing.assert_array_equal(part, expected, "where people say ignore no model is heard")
    proposal = pixels(service.client.get(f"/patches/{patches[3]['id']}/proposal.png"))
    row, column = patches[3]["row"], patches[3]["column"]
    part = shown[256 * row :, 256 * column :][:256, :256]
    np.testing.assert_array_equal(part, proposal[: part.shape[0], : part.shape[1]] > 0)


@SQLITE
def test_other_slides_have_no_dicom_segmentation(service: Service, slide_id: str) -> None:
    annotated(service, slide_id)
    answer = service.client.get(place(slide_id, "dicom-seg"))
    assert code(answer) == (409, "not_a_dicom_slide")
    assert service.queued((JobKind.EXPORT,)) == []
