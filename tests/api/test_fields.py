"""Pictures, DICOM and foreign stains: what is made of files that are not HER2 slides."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from tests.conftest import Service
from tests.support.intake import INGEST, decoded, encoded, ingested


@pytest.fixture
def field(shared_data: Path) -> np.ndarray:
    """A camera field of real HER2 tissue."""
    path = next((shared_data / "her2_fields").glob("*.jpg"))
    return np.asarray(Image.open(path).convert("RGB"))[:600, :700]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_plain_field_becomes_a_slide_of_the_same_pixels(
    service: Service, field: np.ndarray, kind: str
) -> None:
    content = encoded(field, kind, **({"dpi": (72, 72)} if kind != "TIFF" else {}))
    slide = ingested(service, content, "field")
    assert slide["state"] == "needs_mpp"
    assert (slide["width"], slide["height"]) == (700, 600)
    ready = ingested(service, content, "field", mpp="0.25")
    assert (ready["state"], ready["id"]) == ("ready", slide["id"])
    assert 3 <= ready["patch_count"] <= 9
    tile = service.client.get(f"/slides/{slide['id']}_files/10/0_0.png")
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[:256, :256]
    # decoders of JPEG differ by a grey level; PNG and TIFF must be exact
    assert np.abs(decoded(tile).astype(int) - expected).max() <= (3 if kind == "JPEG" else 0)


def test_a_tiff_field_may_know_its_pixel_size(service: Service, field: np.ndarray) -> None:
    per_cm = 10_000 / 0.3
    content = encoded(field, "TIFF", resolution_unit=3, x_resolution=per_cm, y_resolution=per_cm)
    slide = ingested(service, content)
    assert slide["state"] == "ready"
    assert slide["mpp"] == pytest.approx(0.3, rel=1e-4)
    assert "upsampled" in slide["qc"]


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 4)], ids=["grey", "transparent"])
def test_grey_and_transparent_pictures_are_shown_over_glass(
    service: Service, shape: tuple[int, ...]
) -> None:
    pixels = np.full(shape, 100, np.uint8)
    if len(shape) == 3:
        pixels[..., 3] = 0
        pixels[0, :, 3] = 255
    slide = ingested(service, encoded(pixels, "PNG"), mpp="0.25")
    tile = decoded(service.client.get(f"/slides/{slide['id']}_files/6/0_0.png"))
    assert tile.shape == (40, 50, 3)
    assert set(np.unique(tile[1:])) == ({255} if len(shape) == 3 else {100})
    assert set(np.unique(tile[0])) == {100}
    assert "channel_left_out" not in slide["qc"]
    # smaller than a patch, it still is one
    assert slide["patch_count"] == 1


def test_a_pixel_size_that_makes_a_slide_too_large_can_be_corrected(
    service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "wide.tif"
    # white: a black one would be taken for fluorescence
    (pyvips.Image.black(12_000, 12_000, bands=3) + 255).cast("uchar").tiffsave(
        str(path), compression="lzw", tile=True, pyramid=True
    )
    slide = ingested(service, path.read_bytes(), mpp="10")
    assert (slide["state"], slide["problem"]["code"]) == ("failed", "slide_too_large")
    assert "120 × 120 mm" in slide["problem"]["detail"]
    service.client.patch(f"/slides/{slide['id']}", json={"mpp": 0.5})
    service.run_jobs(INGEST)
    assert service.client.get(f"/slides/{slide['id']}").json()["state"] == "ready"


def test_dicom_comes_in_a_zip_or_alone(service: Service, shared_data: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted((shared_data / "wsi_vendor" / "dicom_cmu1").glob("*.dcm")):
            archive.write(path, f"study/{path.name}")
    slide = ingested(service, buffer.getvalue(), "study.zip")
    assert (slide["state"], slide["vendor"], slide["mpp"]) == ("ready", "dicom", 0.499)
    assert (slide["width"], slide["height"]) == (2220, 2967)
    assert slide["patch_count"] > 50
    assert service.client.get(f"/slides/{slide['id']}_files/12/2_2.jpeg").status_code == 200
    alone = ingested(service, (shared_data / "wsi_vendor" / "boxes_0.dcm").read_bytes())
    assert (alone["state"], alone["patch_count"]) == ("ready", 1)


def test_fluorescence_fails_and_foreign_stains_are_flagged(
    service: Service, shared_data: Path
) -> None:
    vendor = shared_data / "wsi_vendor"
    # it was ready without a patch: nothing a person could do with it
    dark = ingested(service, (vendor / "stritt_dapi.ndpi").read_bytes())
    assert (dark["state"], dark["problem"]["code"]) == ("failed", "fluorescence")
    assert dark["patch_count"] == 0
    pink = ingested(service, (vendor / "CMU-1-Small-Region.svs").read_bytes())
    assert {"wrong_stain", "upsampled"} <= set(pink["qc"])
