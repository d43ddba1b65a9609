"""Pictures that are stored turned become upright pyramids, whatever holds them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.kit.errors import MembranaError
from backend.kit.geometry import Region0
from backend.slides.reading.reader import OpenSlideReader
from tests.support import odd_tiffs
from tests.support.turned import (
    HEIGHT,
    LOSSY,
    ORIENTATIONS,
    PLAIN,
    SURE,
    TILED,
    WIDTH,
    file_of,
    picture,
)
from worker.commands.image_files import read_picture
from worker.conversion import convert_picture
from worker.plain_pictures import look_into
from worker.vips_progress import ConversionStopped

MOST = 10**9
DAMAGED = {"slide_unreadable", "slide_truncated", "region_unreadable"}


@pytest.mark.parametrize("container", [*PLAIN, *TILED])
def test_every_orientation_is_upright_at_every_level(tmp_path: Path, container: str) -> None:
    upright = picture()
    path, target = tmp_path / "turned", tmp_path / "upright.tif"
    for orientation in ORIENTATIONS:
        path.write_bytes(file_of(upright, orientation, container))
        layout = look_into(path, most_pixels=MOST)
        assert (layout.size, layout.left_out) == ((WIDTH, HEIGHT), 0)
        convert_picture(
            path, target, layout=layout, mpp=0.25, most_pixels=MOST, watch=lambda _: True
        )
        made = OpenSlideReader(target)
        assert float(made.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-4)
        for step in made.level_downsamples:
            size = round(WIDTH / step), round(HEIGHT / step)
            shown = made.read(Region0(0, 0, size[0] * step, size[1] * step), size)
            wanted = np.asarray(Image.fromarray(upright).resize(size, Image.Resampling.BOX))
            difference = np.abs(shown.astype(int) - wanted)
            assert difference.mean() < 2, f"{container} {orientation} {step}"
            if step == 1:
                assert difference.max() <= (SURE if container in LOSSY else 0)
        made.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["turned", "upright.tif"]


def test_a_turn_can_be_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rows = np.zeros((2000, 2000, 3), np.uint8)
    path.write_bytes(file_of(rows, 6, "strips"))
    layout = look_into(path, most_pixels=MOST)
    for share in (0.0, 0.6):
        with pytest.raises(ConversionStopped):
            convert_picture(
                path,
                tmp_path / "out.tif",
                layout=layout,
                mpp=None,
                most_pixels=MOST,
                watch=lambda done, share=share: done < share,
            )
        assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


CODECS = ("none", "lzw", "deflate", "packbits", "jpeg", "webp")
# any bytes are pixels where nothing is compressed
HARM = [
    *((how, codec) for how in ("missing", "short") for codec in CODECS),
    *(("junk", codec) for codec in CODECS[1:]),
]


@pytest.mark.parametrize("tile", [True, False], ids=["tiles", "strips"])
@pytest.mark.parametrize(("damage", "compression"), HARM)
def test_damage_is_heard_however_the_picture_is_turned(
    tmp_path: Path, damage: str, compression: str, *, tile: bool
) -> None:
    path, target = tmp_path / "turned.tif", tmp_path / "upright.tif"
    # by rows as they come, by rows mirrored, and by way of the disk
    for orientation in (1, 2, 6):
        odd_tiffs.compressed(path, compression, tile=tile, orientation=orientation)
        assert read_picture(path, 0.25).pixels.shape == (512, 512, 3)
        odd_tiffs.broken(path, damage)
        with pytest.raises(MembranaError) as converted:
            convert_picture(
                path,
                target,
                layout=look_into(path, most_pixels=MOST),
                mpp=0.25,
                most_pixels=MOST,
                watch=lambda _: True,
            )
        assert [each.name for each in tmp_path.iterdir()] == ["turned.tif"]
        with pytest.raises(MembranaError) as read:
            read_picture(path, 0.25)
        for why in (converted.value, read.value):
            assert why.problem_code in DAMAGED, why.detail
