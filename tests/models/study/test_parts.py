"""Parts that a file names: who learns, who chooses, who is judged, and what is only looked at."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from models.study import dataset, runs
from models.study.contenders import chosen
from models.study.dataset import DatasetError
from models.study.protocol import Protocol
from models.study.results import Results
from models.study.runs import Cell
from models.study.table import markdown
from tests.models.study.folders import MEMBRANE, write

PROTOCOL = Protocol(passes=60, crop=64, learning_rate=5e-3)
PARTS = {"s0": "train", "s1": "train", "s2": "validation", "s3-f0": "test", "s3-f1": "unlabelled"}


def table(folder, parts=PARTS):
    """Write parts.csv: the longest beginning of a name that is in `parts` says its part."""
    names = [path.stem for path in sorted((folder / "images").iterdir())]
    with (folder / "parts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([name, parts.get(name, parts.get(name[:2]))] for name in names)
    return folder / "parts.csv"


def read(folder, **options):
    told = {"groups": folder / "groups.csv", "part_table": folder / "parts.csv", "name": "lines"}
    return dataset.read(
        folder / "images", folder / "masks", positive=str(MEMBRANE), **(told | options)
    )


@pytest.fixture
def folder(tmp_path):
    folder = write(tmp_path / "set")
    table(folder)
    # nobody has drawn what is only looked at
    (folder / "masks" / "s3-f1.tif").unlink()
    return folder


def names_of(data, patches):
    return [(data.groups[index], data.parts[index]) for index in patches]


def test_the_parts_are_those_of_the_file_whatever_the_seed(folder):
    data = read(folder)
    for seed in (0, 1):
        part = dataset.split(data, seed=seed)
        assert names_of(data, part.train) == [("slide 0", "train")] * 2 + [("slide 1", "train")] * 2
        assert names_of(data, part.validation) == [("slide 2", "validation")] * 2
        assert names_of(data, part.test) == [("slide 3", "test")]
        assert names_of(data, part.unlabelled) == [("slide 3", "unlabelled")]
    assert (data.masks[part.unlabelled] == 127).all()


def test_without_a_file_nothing_more_is_seen_and_a_set_is_hashed_as_ever(tmp_path):
    data = read(write(tmp_path / "set"), part_table=None)
    assert not len(dataset.split(data).unlabelled)
    assert data.sha256() != replace(data, parts=("train",) * len(data.images)).sha256()


def test_the_slide_in_hand_is_learned_from_without_its_masks(folder, tmp_path):
    data = read(folder)
    part = dataset.split(data)
    weights = {}
    for name, changed in (("as it is", part.train[:0]), ("other images in hand", part.unlabelled)):
        images = data.images.copy()
        images[changed] = 255 - images[changed]
        for method in ("supervised", "mean-teacher"):
            cell = Cell(chosen([method])[0], 1.0, 0)
            row = runs.run(
                cell, replace(data, images=images), PROTOCOL, tmp_path / name / method, judge="test"
            )
            weights[name, method] = row["weights_sha256"]
    first, second = "as it is", "other images in hand"
    assert weights[first, "supervised"] == weights[second, "supervised"]
    assert weights[first, "mean-teacher"] != weights[second, "mean-teacher"]


def test_the_judged_patches_and_masks_decide_nothing(folder, tmp_path):
    data, cell = read(folder), Cell(chosen(["mean-teacher"])[0], 1.0, 0)
    part = dataset.split(data)
    blind = replace(data, images=data.images.copy(), masks=data.masks.copy())
    blind.images[part.test] = 0
    blind.masks[np.concatenate([part.test, part.unlabelled])] = 255
    row, other = (
        runs.run(cell, each, PROTOCOL, tmp_path / str(number), judge="test")
        for number, each in enumerate((data, blind))
    )
    for fact in ("weights_sha256", "threshold", "stopped", "validation"):
        assert row[fact] == other[fact]
    assert row["test"] != other["test"]


def test_the_table_says_how_many_images_were_seen_without_labels(folder, tmp_path):
    data, results = read(folder), Results(tmp_path / "results.json", PROTOCOL)
    results.begin(data, PROTOCOL)
    cell = Cell(chosen(["pixel-classifier-filters"])[0], 1.0, 0)
    results.add(runs.run(cell, data, PROTOCOL, tmp_path / "run"))
    assert results.content["sets"]["lines"]["unlabelled"] == 1
    assert "1 more patches, of the slides in hand, as images alone;" in markdown(results.content)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (PARTS | {"s1": "labelled"}, "part_unknown"),
        (PARTS | {"s2": "train"}, "part_empty"),
        (PARTS | {"s3-f0": "train"}, "part_empty"),
        (PARTS | {"s1-f1": "test"}, "group_twice"),
        (PARTS | {"s2-f1": "train"}, "group_twice"),
        (PARTS | {"s0-f0": ""}, "groups_unreadable"),
    ],
)
def test_a_file_that_is_no_protocol_is_refused(folder, parts, code):
    table(folder, parts)
    with pytest.raises(DatasetError) as caught:
        dataset.split(read(folder))
    assert caught.value.code == code


def test_a_mask_is_missed_where_it_is_needed_alone(folder):
    (folder / "masks" / "s3-f0.tif").unlink()
    with pytest.raises(DatasetError, match="no mask for s3-f0") as caught:
        read(folder)
    assert caught.value.code == "mask_missing"
