"""A folder becomes patches: every pixel once, groups apart, bad folders refused by name."""

import numpy as np
import pytest
from PIL import Image

from models.study import dataset
from models.study.dataset import DatasetError
from tests.models.study.folders import MEMBRANE, write

WHOLE = {"positive": str(MEMBRANE)}


def read(folder, **options):
    names = {"groups": folder / "groups.csv", **WHOLE} | options
    return dataset.read(folder / "images", folder / "masks", **names)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "set")


def code(call):
    with pytest.raises(DatasetError) as caught:
        call()
    return caught.value.code


def test_patches_of_odd_sizes_show_every_pixel_once(tmp_path):
    folder = write(tmp_path / "odd", slides=3, fields=1, height=300, width=600)
    data = read(folder)
    assert len(data.images) == 3 * 2 * 3
    for index in range(3):
        of_one = range(index * 6, index * 6 + 6)
        assert data.first[of_one].sum() == 300 * 600
        truth = np.asarray(Image.open(folder / "masks" / f"s{index}-f0.tif"))
        assert (data.truth(np.array(of_one)) == 255).sum() == (truth == MEMBRANE).sum()
    assert set(np.unique(data.masks)) == {0, 255}


def test_a_small_image_is_filled_and_the_filling_counts_nowhere(tmp_path):
    data = read(write(tmp_path / "small", slides=3, fields=1, height=100, width=200))
    assert data.images.shape == (3, 256, 256, 3)
    assert (data.masks[:, :100, :200] != 127).all()
    assert (data.masks != 127).sum() == 3 * 100 * 200


def test_any_value_but_zero_means_instance_labels(tmp_path):
    folder = write(tmp_path / "set", slides=3, fields=1)
    for path in (folder / "masks").iterdir():
        labels = (np.asarray(Image.open(path)) > 0) * np.arange(1, 257)[:, None] * 250
        Image.fromarray(labels.astype(np.uint16)).save(path)
    assert (read(folder, positive="any").masks == 255).sum() > 0
    assert code(lambda: read(folder, positive="199")) == "nothing_positive"


def test_a_region_leaves_out_what_is_not_known(folder):
    (folder / "region").mkdir()
    seen = np.zeros((256, 256), np.uint8)
    seen[:, 50:] = 255
    for path in (folder / "images").iterdir():
        Image.fromarray(seen).save(folder / "region" / path.name)
    data = read(folder, region=folder / "region")
    assert (data.masks[:, :, :50] == 127).all()
    assert (data.masks[:, :, 50:] != 127).all()


def test_a_part_of_which_nothing_is_known_is_refused(folder):
    data = read(folder)
    data.masks[dataset.split(data).validation] = 127
    assert code(lambda: dataset.split(data)) == "nothing_known"


def test_groups_stay_together_and_the_split_is_the_same_again(folder):
    data = read(folder)
    part = dataset.split(data, seed=3)
    members = [{data.groups[i] for i in each} for each in (part.train, part.validation, part.test)]
    assert all(members)
    assert sum(map(len, members)) == len(set.union(*members)) == 4
    assert sorted([*part.train, *part.validation, *part.test]) == list(range(len(data.images)))
    again = dataset.split(data, seed=3)
    assert (again.test == part.test).all()
    assert any((dataset.split(data, seed=s).test != part.test).any() for s in range(5))


def test_a_larger_share_holds_the_smaller_and_one_patch_is_the_least(folder):
    part = dataset.split(read(folder))
    few = dataset.labelled(part, 0.01, seed=1)
    many = dataset.labelled(part, 0.8, seed=1)
    assert len(few) == 1
    assert set(few) < set(many) < set(part.train.tolist()) | set(many)
    assert set(many) <= set(part.train.tolist())


def test_the_hash_is_of_pixels_masks_and_groups(folder):
    first = read(folder)
    assert first.sha256() == read(folder, name="another name").sha256()
    path = folder / "masks" / "s0-f0.tif"
    mask = np.asarray(Image.open(path)).copy()
    mask[0, 0] = MEMBRANE - mask[0, 0]
    Image.fromarray(mask).save(path)
    assert read(folder).sha256() != first.sha256()


def test_bad_folders_are_refused_in_words(folder, tmp_path):
    assert code(lambda: dataset.read(tmp_path / "no", folder / "masks", **WHOLE)) == (
        "folder_missing"
    )
    (tmp_path / "empty").mkdir()
    assert code(lambda: dataset.read(tmp_path / "empty", folder / "masks", **WHOLE)) == (
        "folder_empty"
    )
    assert code(lambda: read(folder, positive="brown")) == "positive_unknown"
    (folder / "groups.csv").write_text("s0-f0,slide 0\n")
    assert code(lambda: read(folder)) == "group_missing"
    (folder / "groups.csv").write_text("s0-f0\n")
    assert code(lambda: read(folder)) == "groups_unreadable"
    (folder / "masks" / "s1-f0.tif").write_bytes(b"no image")
    assert code(lambda: read(folder, groups=None)) == "image_unreadable"
    (folder / "masks" / "s1-f0.tif").unlink()
    assert code(lambda: read(folder, groups=None)) == "mask_missing"


def test_pictures_that_do_not_fit_are_refused(folder):
    path = folder / "masks" / "s0-f0.tif"
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(path)
    with pytest.raises(DatasetError, match="8×9") as caught:
        read(folder)
    assert caught.value.code == "mask_mismatch"
    Image.fromarray(np.full((256, 256, 3), (0, 255, 0), np.uint8)).save(path)
    assert code(lambda: read(folder)) == "mask_not_grey"
    Image.fromarray(np.zeros((256, 256), np.uint16)).save(folder / "images" / "s0-f0.png")
    assert code(lambda: read(folder)) == "image_depth"


def test_two_groups_can_not_be_split(tmp_path):
    assert code(lambda: dataset.split(read(write(tmp_path / "two", slides=2)))) == "too_few_groups"
