"""Pictures that are stored turned, sent to the service: shown upright, wherever they are shown."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.jobs.tables import JobKind
from tests.conftest import Service
from tests.support import odd_tiffs
from tests.support.intake import decoded, ingested
from tests.support.turned import HEIGHT, LOSSY, SURE, WIDTH, file_of, picture


def shown(service: Service, slide: dict) -> np.ndarray:
    """Return the finest level of a slide of two tiles."""
    tiles = (
        service.client.get(f"/slides/{slide['id']}_files/9/{column}_0.png") for column in (0, 1)
    )
    return np.concatenate([decoded(tile) for tile in tiles], axis=1)


@pytest.mark.parametrize(
    ("container", "orientation"),
    [
        *(("png", 5), ("jpeg", 6), ("strips", 3), ("bigtiff", 8), ("big_motorola", 7)),
        *(("tiles", 2), ("pyramid", 4), ("pyramid", 8), ("jpeg_pyramid", 6)),
        *(("big_pyramid", 3), ("motorola_pyramid", 5)),
    ],
)
def test_tiles_and_thumbnails_are_upright(
    service: Service, container: str, orientation: int
) -> None:
    upright = picture()
    slide = ingested(service, file_of(upright, orientation, container), mpp="0.25")
    assert (slide["state"], slide["width"], slide["height"]) == ("ready", WIDTH, HEIGHT)
    assert "turned_upright" in slide["qc"]
    difference = np.abs(shown(service, slide).astype(int) - upright).max()
    assert difference <= (SURE if container in LOSSY else 0)
    small = decoded(service.client.get(f"/slides/{slide['id']}/thumbnail.jpeg"))
    wanted = np.asarray(Image.fromarray(upright).resize(small.shape[1::-1]))
    assert np.abs(small.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize(
    ("damage", "compression", "orientation"),
    [("junk", "webp", 6), ("short", "lzw", 3), ("missing", "none", 8), ("missing", "deflate", 5)],
)
def test_a_damaged_picture_is_not_ready_because_it_is_turned(
    service: Service, tmp_path: Path, damage: str, compression: str, orientation: int
) -> None:
    path = odd_tiffs.compressed(tmp_path / "a.tif", compression, orientation=orientation)
    whole = ingested(service, path.read_bytes(), mpp="0.25")
    assert whole["state"] == "ready", whole["problem"]
    slide = ingested(service, odd_tiffs.broken(path, damage).read_bytes(), mpp="0.25")
    assert slide["state"] == "failed", slide["qc"]
    assert slide["problem"]["code"] in {"slide_unreadable", "slide_truncated"}


def test_the_laboratorys_turned_files(service: Service, shared_data: Path) -> None:
    field = ingested(service, (shared_data / "intake" / "field_exif6.jpg").read_bytes(), mpp="0.25")
    assert (field["width"], field["height"]) == (768, 1024)
    mirrored = ingested(
        service, (shared_data / "intake" / "orient4_tiled_jpeg.tif").read_bytes(), mpp="0.25"
    )
    assert (mirrored["width"], mirrored["height"]) == (1024, 768)
    for slide in (field, mirrored):
        assert (slide["state"], "turned_upright" in slide["qc"]) == ("ready", True)


def test_a_scanners_slide_that_is_stored_turned_is_shown_upright(service: Service) -> None:
    """The scanner's words stay its words; its label is nothing to show."""
    upright = np.asarray(Image.fromarray(picture()).resize((512, 384)))
    note = "Aperio Image Library v1\n512x384 [0,0 512x384] |AppMag = 40|MPP = 0.2500"
    content = file_of(upright, 3, "tiles", description=note)
    slide = ingested(service, content, "case.svs")
    assert (slide["state"], slide["vendor"], slide["mpp"]) == ("ready", "aperio", 0.25)
    assert (slide["objective_power"], slide["width"], slide["height"]) == (40, 512, 384)
    assert np.array_equal(
        decoded(service.client.get(f"/slides/{slide['id']}_files/9/0_0.png")),
        upright[:256, :256],
    )


def test_which_pixel_size_counts_is_one_rule(service: Service, shared_data: Path) -> None:
    bare = (shared_data / "intake" / "exif_unit_none_300.jpg").read_bytes()
    asked = ingested(service, bare)
    assert asked["state"] == "needs_mpp"
    assert asked["problem"]["code"] == "pixel_size_doubtful"
    assert "no unit" in asked["problem"]["detail"]
    place = f"/slides/{asked['id']}"
    service.client.patch(place, json={"mpp": 0.25}).raise_for_status()
    service.run_jobs((JobKind.INGEST,))
    given = service.client.get(place).json()
    assert (given["state"], given["mpp"], given["problem"]) == ("ready", 0.25, None)
    rows = picture()
    for unit, state in ((1, "needs_mpp"), (3, "ready")):
        for tile in (None, (64, 64)):
            content = file_of(
                rows, 6, "tiles" if tile else "strips", resolution=(4e4, 4e4), resolutionunit=unit
            )
            slide = ingested(service, content)
            assert (slide["state"], slide["mpp"]) == (state, None if unit == 1 else 0.25)
