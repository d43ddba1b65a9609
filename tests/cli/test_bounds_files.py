"""A slide of which a part was scanned: what commands draw and count lies on the tissue there."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Membrana
from tests.models.her2.mosaic import MPP, all_of, mosaic
from tests.support.scoring import box
from tests.support.vendor_slides import leica_scn

SIDE = 1024
CORNERS = [(512, 256), (301, 77), (0, 1024)]


@pytest.fixture(scope="module")
def cells():
    """Stained cells on the left, none on the right: a mask that is shifted would not fit."""
    found = mosaic(all_of("IC"), side_px=SIDE)
    right = mosaic(all_of("N"), side_px=SIDE)
    image, mask = found.image.copy(), found.mask.copy()
    image[:, SIDE // 2 :], mask[:, SIDE // 2 :] = right.image[:, SIDE // 2 :], 0
    return image, np.where(mask, 255, 0).astype(np.uint8)


def slide(folder: Path, image: np.ndarray, corner: tuple[int, int]) -> Path:
    left, top = corner
    path = folder / "case.scn"
    path.write_bytes(leica_scn(image, MPP, left=left, top=top))
    return path


@pytest.mark.parametrize("corner", CORNERS)
def test_a_mask_lies_on_the_scanned_tissue(
    membrana: Membrana, tmp_path: Path, cells, corner: tuple[int, int]
) -> None:
    image, _ = cells
    Image.fromarray(image).save(tmp_path / "plain.png")
    masks = []
    for path in (slide(tmp_path, image, corner), tmp_path / "plain.png"):
        done = membrana("segment", str(path), "-o", str(tmp_path / "masks"), "--mpp", str(MPP))
        assert done.code == 0, done.err
        [told] = json.loads(done.out)
        assert (told["width"], told["height"]) == (SIDE, SIDE)
        masks.append(np.asarray(Image.open(told["mask"])))
    assert np.array_equal(*masks)
    assert masks[0][:, : SIDE // 2 - 20].mean() > 20 * max(1, masks[0][:, SIDE // 2 + 20 :].mean())


@pytest.mark.parametrize("corner", CORNERS)
def test_masks_and_regions_count_from_the_scanned_part(
    membrana: Membrana, tmp_path: Path, cells, corner: tuple[int, int]
) -> None:
    image, mask = cells
    for folder in ("plain", "scanned", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray(image).save(tmp_path / "plain" / "case.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "case.png")
    left = tmp_path / "left.geojson"
    left.write_text(json.dumps(box(0, 0, SIDE // 2, SIDE)))
    path = slide(tmp_path / "scanned", image, corner)
    for words in (("--whole",), ("--regions", str(left))):
        scores = []
        for file in (path, tmp_path / "plain" / "case.png"):
            done = membrana(
                *("score", str(file), "--mask", str(tmp_path / "masks"), "--mpp", str(MPP)), *words
            )
            assert done.code == 0, done.err
            [document] = json.loads(done.out)
            scores.append(document)
        scanned, plain = scores
        assert scanned["cells"] == plain["cells"] > 0
        assert scanned["counts"] == plain["counts"]
        assert scanned["score"] == plain["score"]
        if "--regions" in words:
            assert scanned["counts"]["N"] < 0.1 * scanned["cells"]


def test_a_mask_of_the_whole_glass_does_not_fit(membrana: Membrana, tmp_path: Path, cells) -> None:
    image, mask = cells
    path = slide(tmp_path, image, (512, 256))
    (tmp_path / "masks").mkdir()
    glass = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    glass[256 : 256 + SIDE, 512 : 512 + SIDE] = mask
    Image.fromarray(glass).save(tmp_path / "masks" / "case.png")
    done = membrana("score", str(path), "--mask", str(tmp_path / "masks"), "--mpp", str(MPP))
    assert done.code == 1
    assert "(mask_mismatch)" in done.err
