"""The nucleus detector that comes with Membrana: its graph, its seeds, its training, its truth."""

import csv
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from backend.her2.scores.detector import SHIPPED
from benchmarks.nuclei import Rule, network
from benchmarks.nuclei_truth import Tally, labels_of, marked, tally
from models.nuclei.graph import RANGES, compiled, ranges_of
from models.nuclei.maps import NucleusMaps
from models.nuclei.networks import DetectorError
from models.nuclei.seeds import Seeding
from models.nuclei.shipped import SEEDING, WEIGHTS, maps_of, shipped
from models.nuclei.training import loop
from models.nuclei.training.pictures import phantoms
from models.phantom import PhantomSpec, field

SIDE = 128


@pytest.fixture(scope="module")
def weights() -> dict:
    return load_file(WEIGHTS)


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return field(PhantomSpec(seed=5, her2="2+", mpp=0.5), SIDE).image


def test_the_package_holds_the_weights_that_scores_name() -> None:
    content = WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHIPPED.sha256
    assert len(content) <= 3_000_000
    card = json.loads(WEIGHTS.with_suffix(".json").read_bytes())
    assert card["sha256"] == SHIPPED.sha256
    assert {"licences", "metrics", "limits", "trained"} <= set(card)


def test_all_pixels_that_taught_may_be_shipped_as_weights(shared_data: Path) -> None:
    """By the manifest's own column of licences; the marked crops are of one Apache-2.0 set."""
    with (shared_data / "MANIFEST.csv").open(newline="") as file:
        licence = {row["path"]: row["licence"] for row in csv.DictReader(file)}
    card = json.loads(WEIGHTS.with_suffix(".json").read_bytes())
    for path in card["trained"]["data"]:
        if path.startswith(("her2_nuclei_marked/core", "her2_membrane_traced/")):
            assert Path(path).stem.startswith("core"), path
        else:
            assert "CC0" in licence[path], path


def test_the_graph_answers_as_the_network_does(weights, tissue) -> None:
    net = NucleusMaps().eval()
    net.load_state_dict(
        {name: torch.from_numpy(each) for name, each in weights.items()}, strict=False
    )
    with torch.no_grad():
        expected = torch.sigmoid(net(torch.from_numpy(tissue[None]))).numpy()
    exact = {name: each for name, each in weights.items() if name != RANGES}
    answer = compiled(exact, SIDE).create_infer_request().infer([tissue[None]])[0]
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert expected[0, 0].max() > SEEDING.least_centre
    in_bytes = np.stack(maps_of(WEIGHTS, SIDE)(tissue))
    assert 0 < np.abs(in_bytes - expected[0]).mean() < 0.02


def test_ranges_are_those_of_what_flows(weights, tissue) -> None:
    exact = {name: each for name, each in weights.items() if name != RANGES}
    found = ranges_of(exact, [tissue])
    assert found.shape == weights[RANGES].shape
    np.testing.assert_allclose(found[0], [tissue.min() / 255, tissue.max() / 255], rtol=1e-6)


def test_threads_get_the_same_bits(tissue) -> None:
    maps = maps_of(WEIGHTS, SIDE)
    first = np.stack(maps(tissue))
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: np.stack(maps(tissue)), range(16)):
            np.testing.assert_array_equal(again, first)


def test_other_weights_are_refused(tmp_path) -> None:
    with pytest.raises(DetectorError, match="install Membrana again") as refused:
        shipped("0" * 64)
    assert refused.value.code == "detector_changed"
    with pytest.raises(DetectorError, match="can't be read"):
        maps_of(tmp_path / "none.safetensors", SIDE)


def hills(*places: tuple[int, int], height: float = 0.9) -> np.ndarray:
    """One hill a place (row, column), as the network draws them."""
    rows, cols = np.indices((64, 64))
    each = [np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 6) for r, c in places]
    return (height * np.max([np.zeros((64, 64)), *each], axis=0)).astype(np.float32)


def test_packed_nuclei_are_parted_between_their_seeds() -> None:
    inside = np.zeros((64, 64), np.float32)
    inside[20:40, 10:50] = 1
    labels = Seeding()(hills((30, 18), (30, 30), (30, 42)), inside)
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]
    assert len({labels[30, col] for col in (18, 30, 42)}) == 3
    assert labels[30, 23] == labels[30, 18]
    assert labels[30, 25] == labels[30, 30]


def test_a_pale_nucleus_has_the_least_area_and_what_holds_no_seed_is_none() -> None:
    inside = np.zeros((64, 64), np.float32)
    inside[50:60, 50:60] = 1
    labels = Seeding()(hills((20, 20)), inside)
    assert labels[55, 55] == 0
    area = (labels > 0).sum() * 0.25
    assert 20 <= area <= 26


def test_hills_of_one_height_are_one_nucleus_if_they_are_too_close() -> None:
    flat = hills((30, 30))
    flat[28:33, 28:33] = 0.95
    rows, _ = Seeding().seeds(flat, 0.5)
    assert len(rows) == 1
    assert not Seeding()(hills((30, 30), height=0.1), np.ones((64, 64), np.float32)).any()


def test_a_training_that_is_taken_up_again_ends_where_it_would_have(tmp_path, monkeypatch) -> None:
    """Phantoms alone, as a laboratory without the data would see it work."""
    few = partial(phantoms, count=2)
    for name, value in {"phantoms": few, "BATCH": 2, "EVERY": 2, "RANGED": 2}.items():
        monkeypatch.setattr(loop, name, value)
    data = tmp_path / "data"
    data.mkdir()
    options = {"steps": 4, "seed": 3, "without": ()}
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    loop.train(tmp_path / "whole", data, **options)

    def stop(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as during:
        during.setattr(loop, "report", stop)
        with pytest.raises(InterruptedError):
            loop.train(tmp_path / "stopped", data, **options)
    assert not (tmp_path / "stopped" / "nuclei.safetensors").exists()
    loop.train(tmp_path / "stopped", data, **options)
    first, second = (tmp_path / name / "nuclei.safetensors" for name in ("whole", "stopped"))
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(SystemExit, match="other settings"):
        loop.train(tmp_path / "whole", data, **(options | {"seed": 4}))


def test_on_fields_of_which_it_never_saw_a_pixel_it_finds_more_than_the_rule(
    shared_data: Path,
) -> None:
    """EZEHER fields teach no shipped weights. Marks are one machine reader's, no pathologist's."""
    crops = [crop for crop in marked(shared_data) if crop.group.startswith("eze")]

    def counts(detector) -> Tally:
        return sum((tally(crop, labels_of(crop, detector)) for crop in crops), Tally())

    rule = counts(Rule((3.2, 4.2)))
    ours = counts(network(WEIGHTS, SEEDING.least_centre))
    assert ours.tumour == 89
    assert ours.f1 > max(0.85, rule.f1)
    assert ours.judged_hit > rule.judged_hit
