"""File commands refuse what the service refuses: damage and pixels of kinds not read here."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import Membrana
from tests.support import odd_tiffs


def test_damage_and_odd_pixels_have_no_mask_and_no_score(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    for name in ("damaged_d_base.jpg", "codec_jpeg2000_tiled.tif"):
        shutil.copyfile(shared_data / "intake" / name, tmp_path / name)
    odd_tiffs.damaged(odd_tiffs.compressed(tmp_path / "strips.tif", "jpeg", tile=False), count=100)
    odd_tiffs.damaged(odd_tiffs.compressed(tmp_path / "tiles.tif", "jpeg"), count=100)
    odd_tiffs.damaged(odd_tiffs.compressed(tmp_path / "packed.tif", "deflate"), count=100)
    odd_tiffs.written(tmp_path / "deep.tif", odd_tiffs.tissue().astype(np.uint16) * 16)
    odd_tiffs.written(tmp_path / "float.tif", odd_tiffs.tissue().astype(np.float32))
    Image.fromarray(odd_tiffs.tissue()).convert("CMYK").save(tmp_path / "inks.jpg")
    Image.fromarray(odd_tiffs.tissue()).convert("1").save(tmp_path / "bits.png")
    expected = {
        "bits.png": {"unsupported_pixels"},
        "codec_jpeg2000_tiled.tif": {"unsupported_compression"},
        "damaged_d_base.jpg": {"slide_unreadable"},
        # read as the service reads it: 12 bits in 16 that do not say so
        "deep.tif": {"unsupported_pixels"},
        "float.tif": {"unsupported_pixels"},
        "inks.jpg": {"unsupported_pixels"},
        "packed.tif": {"slide_unreadable"},
        "strips.tif": {"slide_unreadable"},
        "tiles.tif": {"region_unreadable", "slide_unreadable"},
    }
    given = [str(tmp_path / name) for name in expected]
    said = membrana("segment", *given, "-o", str(tmp_path / "masks"), "--mpp", "0.25")
    assert said.code == 1
    told = json.loads(said.out)
    assert [Path(each["image"]).name for each in told] == list(expected)
    for each in told:
        assert each["problem"]["code"] in expected[Path(each["image"]).name], each
    assert list((tmp_path / "masks").iterdir()) == []
    scored = membrana("score", *given, "--proposal", "--mpp", "0.25")
    assert scored.code == 1
    assert json.loads(scored.out) == []
