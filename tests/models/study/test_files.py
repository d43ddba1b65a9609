"""What files can be read two ways is refused, and nothing of a file is lost silently."""

import cv2
import numpy as np
import pytest
import pyvips
from PIL import ExifTags, Image

from models.study import dataset, files
from models.study.files import DatasetError
from tests.models.study.folders import MEMBRANE, lines, write


def code(call):
    with pytest.raises(DatasetError) as caught:
        call()
    return caught.value.code


def stacks(folder, pages=5, files_of=3):
    """Images and masks as TIFFs of several pages, one file a slide."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(files_of):
        drawn = [lines(rng, 256, 256) for _ in range(pages)]
        for part, pictures in zip(("images", "masks"), zip(*drawn, strict=True), strict=True):
            first, *rest = map(Image.fromarray, pictures)
            first.save(folder / part / f"stack{number}.tif", save_all=True, append_images=rest)
    return folder


def read(folder, **options):
    options = {"positive": str(MEMBRANE)} | options
    return dataset.read(folder / "images", folder / "masks", **options)


def test_every_page_of_a_tiff_is_read_and_stays_with_its_file(tmp_path):
    folder = stacks(tmp_path)
    data = read(folder)
    assert len(data.images) == 15
    assert data.groups == tuple(f"stack{index // 5}" for index in range(15))
    assert len({patch.tobytes() for patch in data.masks}) == 15
    with Image.open(folder / "masks" / "stack1.tif") as stack:
        stack.seek(3)
        assert np.array_equal(data.masks[8] == 255, np.asarray(stack) == MEMBRANE)


def test_a_table_may_tell_pages_apart(tmp_path):
    folder, table = stacks(tmp_path, pages=2), tmp_path / "groups.csv"
    table.write_text(
        "image,block\nstack0,a\nstack1.tif#1,b\nstack1.tif#2,c\nstack2#1,d\nstack2#2,a\n"
    )
    assert read(folder, groups=table).groups == ("a", "a", "b", "c", "d", "a")
    table.write_text("stack0,a\nstack1#1,b\nstack2,c\n")
    assert code(lambda: read(folder, groups=table)) == "group_missing"


def test_pages_that_do_not_match_are_refused(tmp_path):
    folder = stacks(tmp_path)
    Image.new("L", (256, 256)).save(folder / "masks" / "stack0.tif")
    assert code(lambda: read(folder)) == "mask_mismatch"
    big, small = Image.new("L", (256, 256)), Image.new("L", (128, 128))
    big.save(folder / "masks" / "stack0.tif", save_all=True, append_images=[small] * 4)
    assert code(lambda: read(folder)) == "image_frames"
    assert code(lambda: files.opened(folder / "images" / "stack1.tif")) == "image_frames"
    big.save(tmp_path / "moving.png", save_all=True, append_images=[Image.new("L", (256, 256), 9)])
    assert code(lambda: files.opened(tmp_path / "moving.png")) == "image_frames"


def held(path, **options):
    """Write a picture that is held upright only if its orientation is heeded."""
    upright = np.zeros((40, 60), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.rot90(upright)).save(path, exif=exif, **options)
    return upright


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_is_turned_as_viewers_show_it(tmp_path, suffix):
    upright = held(tmp_path / f"held{suffix}")
    shown = np.asarray(files.opened(tmp_path / f"held{suffix}"))
    assert shown.shape == upright.shape
    assert (np.abs(shown.astype(int) - upright) < 32).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_that_is_stored_turned_is_read_upright(tmp_path, compression):
    """It was refused before, since libraries differed; now it is as the service shows it."""
    upright = held(tmp_path / "held.tif", compression=compression)
    assert np.array_equal(np.asarray(files.opened(tmp_path / "held.tif")), upright)


def mask_of(path, positive="255"):
    return files.mask_of(files.opened(path), positive, path)


def test_a_jpeg_mask_is_read_only_where_0_and_255_can_be_told_apart(tmp_path):
    _, mask = lines(np.random.default_rng(1), 256, 256)
    truth = np.where(mask == MEMBRANE, 255, 0).astype(np.uint8)
    path = tmp_path / "mask.jpg"
    Image.fromarray(truth).save(path, quality=75)
    with Image.open(path) as lossy:
        assert not np.array_equal(np.asarray(lossy), truth), "the file is to have lost something"
    assert np.array_equal(mask_of(path), truth)
    for positive in ("any", "200", "0"):
        assert code(lambda positive=positive: mask_of(path, positive)) == "mask_lossy"
    labels = np.repeat(np.arange(256, dtype=np.uint8), 256).reshape(256, 256)
    Image.fromarray(labels).save(path)
    assert code(lambda: mask_of(path)) == "mask_lossy"
    inside = tmp_path / "mask.tif"
    Image.fromarray(labels).save(inside, compression="jpeg")
    assert code(lambda: mask_of(inside)) == "mask_lossy"


def test_a_palettes_numbers_are_values_unless_its_greys_say_otherwise(tmp_path):
    classes = np.zeros((16, 16), np.uint8)
    classes[:4], classes[4:6] = 1, 2
    picture, path = Image.fromarray(classes).convert("P"), tmp_path / "mask.png"
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(path)
    assert np.array_equal(mask_of(path, "1") == 255, classes == 1)
    picture.putpalette([0, 0, 0, 255, 255, 255, 128, 128, 128])
    picture.save(path)
    assert code(lambda: mask_of(path)) == "mask_palette"
    assert code(lambda: mask_of(path, "any")) == "mask_palette"
    same = Image.fromarray(classes).convert("P")
    same.putpalette([value for value in range(256) for _ in range(3)])
    same.save(path)
    assert np.array_equal(mask_of(path, "2") == 255, classes == 2)


@pytest.mark.parametrize("positive", ["1", "255", "any"])
def test_white_of_one_bit_is_1_and_255(tmp_path, positive):
    truth = np.zeros((16, 16), bool)
    truth[3:7] = True
    Image.fromarray(truth).save(tmp_path / "mask.png")
    assert np.array_equal(mask_of(tmp_path / "mask.png", positive) == 255, truth)


def test_a_region_of_another_size_is_refused(tmp_path):
    folder = write(tmp_path / "set", slides=3, fields=1)
    (folder / "region").mkdir()
    for path in (folder / "images").iterdir():
        Image.new("L", (256, 200), 255).save(folder / "region" / path.name)
    with pytest.raises(DatasetError, match="256×200 px") as caught:
        read(folder, region=folder / "region")
    assert caught.value.code == "region_mismatch"
    next((folder / "region").iterdir()).unlink()
    assert code(lambda: read(folder, region=folder / "region")) == "region_missing"


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("s0-f0,a\ns0-f0.png,b\n", "group_twice"),
        ("s0-f0,\n", "groups_unreadable"),
        ("s0-f0;a\n", "groups_unreadable"),
        ("s0-f0,a\n", "group_missing"),
    ],
)
def test_a_table_of_groups_is_whole_and_of_one_mind(tmp_path, table, wanted):
    folder = write(tmp_path / "set", slides=3, fields=1)
    (tmp_path / "groups.csv").write_text(table)
    assert code(lambda: read(folder, groups=tmp_path / "groups.csv")) == wanted


def test_a_table_that_excel_wrote_is_read(tmp_path):
    folder = write(tmp_path / "set", slides=3, fields=1)
    # what was deleted in the sheet stays as a line of commas
    rows = "".join(f"s{slide}-f0,g{slide}\r\n" for slide in range(3)) + ",\r\n"
    (tmp_path / "groups.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert read(folder, groups=tmp_path / "groups.csv").groups == ("g0", "g1", "g2")


def test_with_255_the_value_127_stays_unknown_and_with_another_it_is_none(tmp_path):
    values = np.array([[0, 127, 255, 1]], np.uint8)
    Image.fromarray(values).save(tmp_path / "mask.png")
    assert mask_of(tmp_path / "mask.png").tolist() == [[0, 127, 255, 0]]
    assert mask_of(tmp_path / "mask.png", "any").tolist() == [[0, 255, 255, 255]]
    assert mask_of(tmp_path / "mask.png", "1").tolist() == [[0, 0, 0, 255]]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_colours_of_16_bits_are_refused_and_greys_kept_whole(tmp_path, name):
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
    cv2.imwrite(str(tmp_path / name), np.dstack([values] * 3))
    with pytest.raises(DatasetError, match=name) as caught:
        files.frames(tmp_path / name)
    assert caught.value.code == "image_depth"
    cv2.imwrite(str(tmp_path / name), values)
    (grey,) = files.frames(tmp_path / name)
    assert np.array_equal(np.asarray(grey), values)


def test_what_a_mac_hides_beside_a_picture_is_none(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    assert list(files.pictures(tmp_path)) == ["a"]


@pytest.mark.parametrize("kept", [0.2, 0.99])
def test_a_tiff_that_was_cut_off_is_named(tmp_path, kept):
    """Its directory stands at its end: what is left is pixels that nothing describes."""
    path = tmp_path / "cut.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    pyvips.Image.new_from_array(pixels).tiffsave(str(path), tile=True, compression="jpeg")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert code(lambda: files.frames(path)) == "image_unreadable"
