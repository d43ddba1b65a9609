"""Slides that were read before files were turned upright: changed for good, or not at all."""

import numpy as np
import pytest
import pyvips
from sqlalchemy import select, update

from backend.slides.catalogue.leftovers import pyramid_key
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch
from tests.conftest import Service
from tests.support.intake import INGEST, decoded, ingested
from tests.support.turned import HEIGHT, WIDTH, file_of, picture, stored

REGION = {
    "type": "Feature",
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[5, 5], [100, 5], [100, 90], [5, 90], [5, 5]]],
    },
    "properties": {"kind": "tumour"},
}


def read_formerly(service: Service) -> dict:
    """Return a slide as this service made it once: its pyramid lies as the file stores it."""
    slide = ingested(service, file_of(picture(), 6, "png"), mpp="0.25")
    folder, former = service.settings.slide_folder, f"{slide['sha256']}.tif"
    rows = pyvips.Image.new_from_array(stored(picture(), 6))
    rows.tiffsave(str(folder / former), tile=True, pyramid=True, compression="lzw")
    (folder / pyramid_key(slide["sha256"])).unlink()
    with service.database.writing() as session:
        values = {"derived_key": former, "width": HEIGHT, "height": WIDTH}
        session.execute(update(Slide).where(Slide.id == slide["id"]).values(**values))
    return slide


def with_another_size(service: Service, slide: dict) -> dict:
    answer = service.client.patch(f"/slides/{slide['id']}", json={"mpp": 0.3})
    assert answer.status_code == 200, answer.text
    service.run_jobs(INGEST)
    found: dict = service.client.get(f"/slides/{slide['id']}").json()
    assert found["state"] == "ready"
    return found


def tile(service: Service, slide: dict) -> np.ndarray:
    return decoded(service.client.get(f"/slides/{slide['id']}_files/9/0_0.png"))


@pytest.mark.parametrize("place", ["_files/9/0_0.png", "/thumbnail.jpeg"])
def test_a_browsers_picture_of_the_former_reading_is_not_the_present_one(
    service: Service, place: str
) -> None:
    slide = read_formerly(service)
    address = f"/slides/{slide['id']}{place}"
    former = service.client.get(address)
    known = {"If-None-Match": former.headers["ETag"]}
    assert service.client.get(address, headers=known).status_code == 304
    with_another_size(service, slide)
    present = service.client.get(address, headers=known)
    assert present.status_code == 200
    assert present.content != former.content
    for answer in (former, present):
        assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_slide_that_nobody_worked_on_is_read_anew(service: Service) -> None:
    slide = read_formerly(service)
    before = {patch.id for patch in patches(service)}
    found = with_another_size(service, slide)
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert "turned_upright" in found["qc"]
    assert np.array_equal(tile(service, found), picture()[:256, :256])
    assert before.isdisjoint({patch.id for patch in patches(service)})
    names = [path.name for path in service.settings.slide_folder.iterdir()]
    assert names == [pyramid_key(slide["sha256"])], "what was made formerly is gone"


def test_a_slide_with_drawn_regions_stays_as_they_were_drawn_on(service: Service) -> None:
    slide = read_formerly(service)
    answer = service.client.post(f"/slides/{slide['id']}/regions", json=REGION)
    assert answer.status_code == 201, answer.text
    found = with_another_size(service, slide)
    assert (found["width"], found["height"]) == (HEIGHT, WIDTH)
    assert np.array_equal(tile(service, found), stored(picture(), 6)[:256, :256])


def patches(service: Service) -> list[Patch]:
    with service.database.reading() as session:
        return list(session.scalars(select(Patch)))
