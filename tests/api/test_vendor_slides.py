"""MIRAX in a zip and Leica SCN, from the upload to patches and pixels."""

import io
import zipfile
from functools import cache
from typing import Any

import numpy as np
import pytest

from models.phantom import PhantomSpec, field
from tests.conftest import Service
from tests.support.intake import INGEST, decoded, ingested, upload
from tests.support.ready import patches_of
from tests.support.tus import begin, send
from tests.support.vendor_slides import MACRO, Rgb, halved, leica_scn, mirax_zip

SIDE = 1024
MPP = 0.25
LEFT, TOP = 512, 256
CANVAS = 4 * 256
"""px of empty tiles around what a MIRAX scanner has scanned."""
CLOSE = 6.0
"""Grey levels: what a JPEG of good quality changes on average, and no shift of a pixel does."""


@cache
def picture() -> Rgb:
    spec = PhantomSpec(seed=5, her2="3+", mpp=MPP, tumour=1.0)
    return np.ascontiguousarray(field(spec, (SIDE, SIDE)).image)


def difference(seen: Rgb, expected: Rgb) -> float:
    return float(np.abs(seen.astype(float) - expected.astype(float)).mean())


def seen_patch(service: Service, patch: dict[str, Any]) -> Rgb:
    return decoded(service.client.get(f"/patches/{patch['id']}/image.png"))


def part(image: Rgb, x: float, y: float) -> Rgb:
    return image[round(y) : round(y) + 256, round(x) : round(x) + 256]


@pytest.mark.parametrize("left", [0, CANVAS])
def test_a_mirax_zip_becomes_a_slide(service: Service, left: int) -> None:
    """What was scanned is the slide, wherever it lies on the canvas."""
    content = mirax_zip(picture(), MPP, left=left, top=2 * left)
    place = begin(service.client, len(content))
    slide_id = send(service.client, place, 0, content).headers["Slide-Id"]
    service.run_jobs(INGEST)
    slide = service.client.get(f"/slides/{slide_id}").json()
    assert (slide["state"], slide["problem"]) == ("ready", None)
    assert (slide["vendor"], slide["width"], slide["height"]) == ("mirax", SIDE, SIDE)
    assert (slide["mpp"], slide["mpp_source"], slide["objective_power"]) == (MPP, "file", 40)
    patches = patches_of(service.client, slide_id)
    assert len(patches) == 16
    for patch in patches[::5]:
        seen = seen_patch(service, patch)
        assert difference(seen, part(picture(), patch["x"], patch["y"])) < CLOSE
        shifted = np.roll(picture(), 2, axis=(0, 1))
        assert difference(seen, part(shifted, patch["x"], patch["y"])) > CLOSE
    whole = decoded(service.client.get(f"/slides/{slide_id}_files/8/0_0.png"))
    assert whole.shape == (256, 256, 3)


@pytest.mark.parametrize("missing", ["Index.dat", "Data0001.dat"])
def test_a_mirax_zip_that_lacks_a_file_is_refused_at_once(service: Service, missing: str) -> None:
    with zipfile.ZipFile(io.BytesIO(mirax_zip(picture(), MPP))) as whole:
        kept = {name: whole.read(name) for name in whole.namelist() if missing not in name}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    answer = service.client.post("/slides", files={"file": ("a.zip", packed.getvalue())})
    assert (answer.status_code, answer.json()["code"]) == (422, "slide_incomplete")


def test_a_mirax_slide_whose_index_is_rubbish_fails_in_words(service: Service) -> None:
    content = mirax_zip(picture(), MPP)
    slide = upload(service, content.replace(b"01.020123456789ABCDEF", b"x" * 21))
    service.run_jobs(INGEST)
    failed = service.client.get(f"/slides/{slide['id']}").json()
    assert failed["state"] == "failed"
    assert failed["problem"]["code"] in {"slide_unreadable", "archive_unreadable"}


def test_a_leica_scn_becomes_a_slide(service: Service) -> None:
    slide = ingested(service, leica_scn(picture(), MPP, left=LEFT, top=TOP), "case.scn")
    assert (slide["state"], slide["problem"]) == ("ready", None)
    # the scanned part is the slide, and coordinates count from its corner, as in QuPath
    assert (slide["vendor"], slide["width"], slide["height"]) == ("leica", SIDE, SIDE)
    assert slide["mpp"] == pytest.approx(MPP)
    assert slide["objective_power"] == 40
    assert slide["tissue_fraction"] > 0.5
    patches = patches_of(service.client, slide["id"])
    assert len(patches) == 16
    for patch in patches[::5]:
        expected = part(picture(), patch["x"], patch["y"])
        assert difference(seen_patch(service, patch), expected) == 0
    described = service.client.get(f"/slides/{slide['id']}.dzi").text
    assert f'Width="{SIDE}" Height="{SIDE}"' in described
    tile = decoded(service.client.get(f"/slides/{slide['id']}_files/10/3_1.png"))
    assert np.array_equal(tile, part(picture(), 768, 256))
    small = decoded(service.client.get(f"/slides/{slide['id']}/thumbnail.jpeg"))
    assert small.shape == (512, 512, 3)
    assert difference(small, halved(picture(), 1)) < CLOSE


def test_the_glass_with_its_label_is_never_shown(service: Service) -> None:
    slide = ingested(service, leica_scn(picture(), MPP, left=LEFT, top=TOP), "case.scn")
    base = f"/slides/{slide['id']}"
    shown = [f"{base}/thumbnail.jpeg", *(f"{base}_files/{level}/0_0.png" for level in range(9))]
    for place in shown:
        away = np.abs(decoded(service.client.get(place)).astype(int) - MACRO).sum(axis=-1)
        assert away.min() > 60, place
    assert "SECRET" not in service.client.get(base).text
