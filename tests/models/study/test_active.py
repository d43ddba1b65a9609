"""Strategies ask for what they say they ask for; chains start alike and grow; areas add up."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from models.networks import NetworkConfig
from models.prediction import Prediction
from models.study import active, dataset, runs
from models.study.active import Plan, reached, summary
from models.study.contenders import chosen
from models.study.dataset import DatasetError
from models.study.protocol import Protocol
from models.study.strategies import STRATEGIES, Pool
from tests.models.study.folders import MEMBRANE, write

SIDE = 16


def pool(probability, members=None, features=None, labelled=None, groups=None):
    """Patches that are one grey all over, by the teacher's probability."""
    flat = np.asarray(probability, np.float32)
    whole = np.repeat(flat, SIDE * SIDE).reshape(len(flat), SIDE, SIDE)
    if members is None:
        members = np.stack([whole] * 3)
    else:
        members = np.repeat(np.asarray(members, np.float32), SIDE * SIDE, axis=1)
        members = members.reshape(len(members), len(flat), SIDE, SIDE)
    features = np.zeros((len(flat), 2), np.float32) if features is None else features
    labelled = np.zeros((1, 2), np.float32) if labelled is None else labelled
    return Pool(
        Prediction(whole, members[1:] >= 0.5),
        members,
        features,
        labelled,
        tuple(groups or ["a"] * len(flat)),
    )


def ask(strategy, patches, count, seed=0):
    return STRATEGIES[strategy](patches, count, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("strategy", ["entropy", "margin"])
def test_the_least_certain_patches_are_asked_for(strategy):
    assert ask(strategy, pool([0.01, 0.55, 0.99, 0.3, 0.9]), 2) == [1, 3]


def test_bald_asks_where_networks_differ_and_not_where_all_are_unsure():
    # patch 0: all say one half; patch 1: they are sure of opposite things; patch 2: all agree
    members = [[0.5, 0.99, 0.9], [0.5, 0.01, 0.9], [0.5, 0.99, 0.9]]
    assert ask("bald", pool([0.5, 0.99, 0.9], members), 1) == [1]
    assert ask("entropy", pool([0.5, 0.99, 0.9], members), 1) == [0]


def test_core_set_covers_what_the_labels_do_not():
    features = np.array([[0, 0], [0.1, 0], [9, 9], [9, 9.1], [0, 9]], np.float32)
    patches = pool([0.5] * 5, features=features, labelled=np.array([[0, 0]], np.float32))
    chosen_ones = ask("core-set", patches, 2)
    assert 4 in chosen_ones
    assert len({2, 3} & set(chosen_ones)) == 1


def test_random_is_seeded_and_without_repetition():
    patches = pool([0.5] * 20)
    assert ask("random", patches, 20) == list(range(20))
    assert ask("random", patches, 5, seed=1) == ask("random", patches, 5, seed=1)
    assert any(
        ask("random", patches, 5, seed=1) != ask("random", patches, 5, seed=s) for s in (2, 3)
    )


def test_ours_takes_the_uncertain_and_not_one_slide_only():
    groups = ["a"] * 6 + ["b"] * 6
    patches = pool([0.45] * 6 + [0.4] * 6, groups=groups)
    found = ask("ours", patches, 4)
    assert len(found) == 4
    assert {groups[index] for index in found} == {"a", "b"}


def test_foreground_is_drawn_where_membrane_is_proposed():
    """Two of three draws follow the proposals, and the third may fall anywhere."""
    patches = pool([0.9] * 4 + [0.1] * 28)
    drawn = [ask("foreground", patches, 3, seed) for seed in range(20)]
    assert all(len(set(each)) == 3 for each in drawn)
    assert all(sum(index < 4 for index in each) >= 2 for each in drawn)
    assert any(sum(index < 4 for index in each) == 2 for each in drawn)
    # where nothing is proposed it still draws
    assert len(ask("foreground", pool([0.1] * 6), 6)) == 6


def test_the_queue_by_the_selector_is_a_strategy_of_its_own():
    probability, students = [0.45, 0.02, 0.02], [[0.45, 0.9, 0.02]] * 2
    patches = pool(probability, [probability, *students])
    assert ask("ours", patches, 1) == [0]
    assert len(ask("selector", patches, 2)) == 2


def test_area_and_enough_are_what_one_computes_by_hand():
    points = [{"share": 0.1, "dice": 0.4}, {"share": 0.2, "dice": 0.6}, {"share": 0.4, "dice": 0.7}]
    found = summary(points, full=0.6 / 0.95)
    assert found["area"] == pytest.approx((0.5 * 0.1 + 0.65 * 0.2) / 0.3, abs=1e-4)
    assert found["enough"] == pytest.approx(0.2)
    shares, dice = np.array([0.1, 0.2, 0.4]), np.array([0.4, 0.6, 0.7])
    assert reached(shares, dice, 0.65) == pytest.approx(0.3)
    assert reached(shares, dice, 0.4) == pytest.approx(0.1)
    assert reached(shares, dice, 0.71) is None
    assert summary(points, full=0.0)["enough"] is None, "95 % of nothing is no goal"


@pytest.fixture
def data(tmp_path):
    folder = write(tmp_path / "set", slides=5, fields=2)
    return dataset.read(
        folder / "images",
        folder / "masks",
        positive=str(MEMBRANE),
        groups=folder / "groups.csv",
        name="lines",
    )


def plan_of(method, tmp_path, **changes):
    (contender,) = chosen([method])
    protocol = replace(Protocol(passes=20, crop=64), **changes)
    return Plan(contender, protocol, (0.2, 0.5), tmp_path / "work")


def test_another_method_budget_network_or_set_is_another_training(data, tmp_path):
    labelled = dataset.split(data).train[:2]

    def folder(method="supervised", of=data, seed=0, **changes):
        return active.folder_of(plan_of(method, tmp_path, **changes), of, labelled, seed)

    deep = NetworkConfig("deeplabv3plus", "resnet18")
    others = [
        folder("cps"),
        folder(passes=40),
        folder(crop=32),
        folder(network=deep),
        folder(seed=1),
        folder(of=replace(data, images=255 - data.images)),
    ]
    assert len({folder(), *others}) == 1 + len(others)
    # where it is computed makes no other training
    assert folder(device="cuda:1") == folder(device="cuda:0")


def test_a_training_that_another_chain_is_at_is_waited_for(data, tmp_path):
    plan, part = plan_of("supervised", tmp_path), dataset.split(data)
    folder = active.folder_of(plan, data, part.train, 0)
    with ThreadPoolExecutor(1) as pool:
        with runs.alone(folder, wait=True):
            asked = pool.submit(active.learned, plan, data, part, part.train, 0)
            with pytest.raises(TimeoutError):
                asked.result(timeout=2)
            assert [path.name for path in folder.iterdir()] == ["lock"]
            # what the other one found
            (folder / "test.json").write_text("0.25")
        assert asked.result(timeout=60) == 0.25


def test_two_studies_do_not_work_in_one_folder(data, tmp_path):
    plan = plan_of("supervised", tmp_path)
    with runs.alone(plan.work, wait=True), pytest.raises(DatasetError) as caught:
        active.study(plan, data, ["random"], 1, jobs=1, progress=lambda *_: None)
    assert caught.value.code == "study_running"


def test_rounds_that_the_patches_do_not_last_for_are_refused(data, tmp_path):
    assert active.rounds((0.2, 0.25, 1.0), 10) == [2, 3, 10]
    plan = replace(plan_of("supervised", tmp_path), shares=(0.5, 0.95, 1.0))
    with pytest.raises(DatasetError, match="don't last for 3 rounds") as caught:
        active.study(plan, data, ["random"], 1, jobs=1, progress=lambda *_: None)
    assert caught.value.code == "too_few_patches"


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        ("{", "results_unreadable"),
        ("[]", "results_unreadable"),
        ('{"protocol": {}, "sets": {}, "runs": []}', "results_unreadable"),
        ('{"chains": [], "method": "cps"}', "results_differ"),
        ('{"chains": [], "set_sha256": "0"}', "results_differ"),
        ('{"chains": [{"strategy": "bald", "seed": 0}]}', "results_differ"),
        ('{"chains": [{"strategy": "random", "seed": 1}]}', "results_differ"),
    ],
)
def test_another_study_is_not_written_over(data, tmp_path, kept, code):
    path = tmp_path / "active.json"
    path.write_text(kept)
    with pytest.raises(DatasetError) as caught:
        active.check_output(path, plan_of("supervised", tmp_path), data, ["random"], 1)
    assert caught.value.code == code
    assert str(path) in str(caught.value)


def test_a_study_can_be_added_to(data, tmp_path):
    path, plan = tmp_path / "active.json", plan_of("supervised", tmp_path)
    active.check_output(path, plan, data, ["random"], 1)
    kept = active.facts(plan, data) | {"chains": [{"strategy": "random", "seed": 0}]}
    path.write_text(json.dumps(kept))
    active.check_output(path, plan, data, ["random", "bald"], 2)


def test_chains_start_alike_grow_and_are_not_trained_twice(data, tmp_path):
    (contender,) = chosen(["eugmt-plus"])
    plan = Plan(contender, Protocol(passes=60, crop=64), (0.2, 0.5), tmp_path / "work")

    def study(progress):
        return active.study(plan, data, ["random", "ours"], 1, jobs=1, progress=progress)

    steps = []
    found = study(lambda done, of, _: steps.append((done, of)))
    assert steps[-1] == (4, 4)
    first, second = found["chains"]
    assert first["points"][0] == second["points"][0]
    for each in found["chains"]:
        assert [point["patches"] for point in each["points"]] == [1, 2]
        assert 0 <= each["area"] <= 1
    weights = {path: path.stat().st_mtime_ns for path in plan.work.rglob("model.safetensors")}
    assert study(lambda *_: None)["chains"] == found["chains"]
    assert {path: path.stat().st_mtime_ns for path in weights} == weights


def test_an_unknown_strategy_is_answered_with_the_known(tmp_path):
    (contender,) = chosen(["eugmt-plus"])
    plan = Plan(contender, Protocol(), (0.2, 0.5), tmp_path)
    with pytest.raises(DatasetError, match="core-set"):
        active.study(plan, None, ["luck"], 1, jobs=1, progress=lambda *_: None)
