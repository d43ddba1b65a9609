"""One training of a table: it learns, goes on after a kill, and is not run twice."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.study import dataset, runs
from models.study.contenders import chosen
from models.study.dataset import DatasetError
from models.study.protocol import Protocol
from models.study.results import Results, complete
from models.study.runs import Cell
from models.training import Stopped
from tests.models.study.folders import MEMBRANE, write

PROTOCOL = Protocol(passes=240, crop=64, learning_rate=5e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("set") / "lines", slides=5, fields=2)
    return dataset.read(
        folder / "images",
        folder / "masks",
        positive=str(MEMBRANE),
        groups=folder / "groups.csv",
        name="lines",
    )


def cell(name="supervised", share=0.5, seed=0):
    return Cell(chosen([name])[0], share, seed)


def study(path, data, protocol, cells=None, **how):
    """Complete one training, or `cells`, of a study; return the file's content."""
    results = Results(path, protocol)
    told = {"jobs": 1, "progress": lambda *_: None} | how
    complete(results, data, protocol, cells or [cell()], path.parent / "work", **told)
    return results.content


def unmeasured(row):
    return {key: value for key, value in row.items() if key not in {"seconds", "measured"}}


def test_it_learns_and_says_what_it_did(data, tmp_path):
    row = runs.run(cell(), data, PROTOCOL, tmp_path)
    assert row["steps"] == 60
    assert row["test"]["pooled"]["dice"] > 0.8
    assert [point["share"] for point in row["curve"]] == sorted(
        {point["share"] for point in row["curve"]}
    )
    assert 16 <= len(row["curve"]) <= 20
    assert (row["updates"], row["stopped"] in {p["share"] for p in row["curve"]}) == (60, True)
    part = dataset.split(data)
    assert row["labelled_patches"] == round(0.5 * len(part.train))
    assert row["config"]["network"]["architecture"] == "unet-small"
    json.dumps(row)


def test_choices_can_be_made_without_the_test_patches(data, tmp_path):
    protocol = replace(PROTOCOL, passes=20)
    part = dataset.split(data)
    blind = replace(data, images=data.images.copy(), masks=data.masks.copy())
    blind.images[part.test], blind.masks[part.test] = 0, 255
    row = runs.run(cell(), blind, protocol, tmp_path / "a", judge=runs.VALIDATION)
    assert "test" not in row
    seen = runs.run(cell(), data, protocol, tmp_path / "b")
    assert row["validation"] == seen["validation"]
    assert seen["validation"]["patches"] == len(part.validation)
    assert seen["test"]["patches"] == len(part.test)


def test_lengths_are_in_micrometres_where_the_pixel_size_is_told(data, tmp_path):
    protocol, path = PROTOCOL, tmp_path / "results.json"
    measured = replace(data, mpp=0.5)
    content = study(path, measured, protocol)
    shape = content["runs"][0]["test"]["shape"]
    assert shape["mean_um"]["hd"] == 0.5 * shape["mean"]["hd"]
    assert content["sets"]["lines"]["mpp"] == 0.5
    Results(path, protocol).begin(measured, protocol)
    with pytest.raises(DatasetError, match="another set"):
        Results(path, protocol).begin(replace(data, mpp=0.25), protocol)


def test_what_was_judged_on_validation_is_judged_on_test_when_that_is_asked_for(data, tmp_path):
    protocol, path = replace(PROTOCOL, passes=20), tmp_path / "results.json"

    def row_of(judge):
        (row,) = study(path, data, protocol, judge=judge)["runs"]
        return row

    first = row_of(runs.VALIDATION)
    assert runs.TEST not in first
    (log,) = tmp_path.rglob("log.json")
    log.unlink()
    row = row_of(runs.TEST)
    # nothing was trained for it
    assert not log.exists()
    assert row["seconds"] == first["seconds"]
    assert {runs.VALIDATION, runs.TEST} <= row.keys()
    # what is there on both is not run again
    assert row_of(runs.VALIDATION) == row
    # without weights, or with others, it is trained anew
    (weights,) = tmp_path.rglob("judged.safetensors")
    content = json.loads(path.read_text())
    del content["runs"][0]["test"]
    for left in (None, b"other weights"):
        path.write_text(json.dumps(content))
        weights.unlink() if left is None else weights.write_bytes(left)
        assert row_of(runs.TEST)["test"] == row["test"]
        assert log.exists()


def test_a_file_from_before_the_validation_part_stays(data, tmp_path):
    protocol, path = replace(PROTOCOL, passes=20), tmp_path / "results.json"
    content = study(path, data, protocol)
    del content["runs"][0]["validation"]
    del content["sets"]["lines"]["validation_groups"]
    path.write_text(json.dumps(content))
    (old,) = study(path, data, protocol)["runs"]
    assert old == content["runs"][0]
    # asked to judge on validation, it keeps what the same weights showed on the test patches
    (row,) = study(path, data, protocol, judge=runs.VALIDATION)["runs"]
    assert row["test"] == old["test"]
    assert row["validation"]["patches"] > 0


def test_a_row_that_would_be_trained_otherwise_today_is_run_again(data, tmp_path):
    protocol, path = replace(PROTOCOL, passes=60), tmp_path / "results.json"

    def again(wanted):
        outdated = Results(path, protocol).outdated(data, protocol, wanted)
        stale = [each.contender.name for each in outdated]
        return stale, study(path, data, protocol, wanted)["runs"]

    ucmt, cps = cell("ucmt"), cell("cps")
    _, first = again([ucmt, cps])
    assert again([ucmt, cps]) == ([], first)
    turned = replace(ucmt.contender, options={**ucmt.contender.options, "exchanged": 0})
    stale, second = again([replace(ucmt, contender=turned), cps])
    assert stale == ["ucmt"]
    assert len(second) == 2
    by_name = {row["method"]: row for row in second}
    assert by_name["cps"] == first[1]
    assert by_name["ucmt"]["weights_sha256"] != first[0]["weights_sha256"]
    # resources are no reason, nor is what a row is too old to know
    for row in second:
        row["config"] |= {"threads": 8, "device": "cuda:1", "checkpoint_every": 7}
        del row["config"]["compile"], row["config"]["network"]["plain_aspp"]
        row["config"]["options"].pop("strong_labelled", None)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"runs": second}))
    assert Results(path, protocol).outdated(data, protocol, [cps]) == []
    second[0]["config"]["options"]["strong_labelled"] = True
    path.write_text(json.dumps(json.loads(path.read_text()) | {"runs": second}))
    assert Results(path, protocol).outdated(data, protocol, [cps]) == [cps]


def test_gpus_take_turns(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [runs.device_of("cuda", number) for number in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert runs.device_of("cuda:1", 0) == "cuda:1"
    assert runs.device_of("cpu", 1) == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert runs.device_of("cuda", 3) == "cuda"


def test_a_file_from_before_a_field_of_the_protocol_is_of_the_same_protocol(tmp_path):
    path, document = tmp_path / "results.json", PROTOCOL.document()
    del document["stopping"], document["network"]["plain_aspp"]
    path.write_text(json.dumps({"protocol": document, "sets": {}, "runs": []}))
    # then the last weights were judged, cut at 0.5
    Results(path, replace(PROTOCOL, stopping="last"))
    with pytest.raises(DatasetError, match="another protocol"):
        Results(path, PROTOCOL)


def test_stopped_it_goes_on_to_the_same_row(data, tmp_path):
    whole = runs.run(cell("eugmt-plus"), data, PROTOCOL, tmp_path / "whole")

    def stop(step, of, losses):
        if step >= of // 2:
            raise Stopped

    # a kill between two checkpoints: what came after the last one is done again
    with pytest.raises(Stopped):
        runs.run(cell("eugmt-plus"), data, PROTOCOL, tmp_path / "again", progress=stop)
    row = runs.run(cell("eugmt-plus"), data, PROTOCOL, tmp_path / "again")
    assert unmeasured(row) == unmeasured(whole)


def test_a_log_of_another_training_is_begun_anew(data, tmp_path):
    def stop(step, of, losses):
        if step > of // 2:
            raise Stopped

    other = replace(PROTOCOL, passes=480)
    with pytest.raises(Stopped):
        runs.run(cell(), data, other, tmp_path, progress=stop)
    assert len(json.loads((tmp_path / "log.json").read_text())["curve"]) > 2
    row = runs.run(cell(), data, PROTOCOL, tmp_path)
    alone = runs.run(cell(), data, PROTOCOL, tmp_path / "alone")
    assert row["curve"] == alone["curve"]
    # run once more from nothing, it does not count the time of the run before
    kept = json.loads((tmp_path / "log.json").read_text())
    (tmp_path / "log.json").write_text(json.dumps(kept | {"seconds": 10**6}))
    (tmp_path / runs.CHECKPOINT).unlink()
    assert runs.run(cell(), data, PROTOCOL, tmp_path)["seconds"] < 10**6


def test_what_is_not_in_the_file_yet_is_gone_on_with(data, tmp_path):
    """Killed between the last step and the row: the training is not begun anew."""
    seen = []
    runs.run(cell(), data, PROTOCOL, tmp_path)
    runs.run(cell(), data, PROTOCOL, tmp_path, progress=lambda step, *_: seen.append(step))
    assert min(seen, default=60) > 48


def test_all_labels_need_no_unlabelled_patch(data, tmp_path):
    row = runs.run(cell("supervised-100"), data, replace(PROTOCOL, passes=20), tmp_path)
    assert row["labelled_patches"] == len(dataset.split(data).train)
    assert row["labelled"] == 1


def test_predicting_leaves_a_network_as_it_was(data):
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 2, 1)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = runs.predict(network, data.images[:3])
    assert found.shape == (3, 256, 256)
    assert found.dtype == np.float32
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_what_stands_in_the_results_is_not_run_again(data, tmp_path):
    protocol = replace(PROTOCOL, passes=20)
    path, cells = tmp_path / "results.json", [cell(seed=seed) for seed in (0, 1)]

    def told(wanted):
        seen = []
        content = study(
            path, data, protocol, wanted, jobs=2,
            progress=lambda done, of, _: seen.append((done, of)),
        )  # fmt: skip
        return content["runs"], seen

    first, seen = told(cells[:1])
    assert seen == [(0, 1), (1, 1)]
    assert list((tmp_path / "work").rglob("*.safetensors"))
    assert not list((tmp_path / "work").rglob(runs.CHECKPOINT))
    both, seen = told(cells)
    assert seen == [(1, 2), (2, 2)]
    assert both[0] == first[0]
    assert json.loads(path.read_text())["runs"] == both
    assert both[0]["weights_sha256"] != both[1]["weights_sha256"]
    with pytest.raises(DatasetError, match="another protocol"):
        study(path, data, replace(protocol, crop=32), cells)
    changed = replace(data, masks=255 - data.masks)
    with pytest.raises(DatasetError, match="another set"):
        study(path, changed, protocol, cells)


def test_the_validation_patches_choose_the_moment_and_the_threshold(data, tmp_path):
    # labels are known for one image alone, and a wild rate: the last weights are not the best
    protocol = replace(PROTOCOL, learning_rate=0.05, schedule="constant", passes=400)
    row = runs.run(cell(share=0.1), data, protocol, tmp_path / "chosen")
    best = max(point["dice"] for point in row["curve"])
    assert row["stopped"] == next(p["share"] for p in row["curve"] if p["dice"] == best)
    assert row["validation"]["pooled"]["dice"] == pytest.approx(best, abs=2e-4)
    last = runs.run(cell(share=0.1), data, replace(protocol, stopping="last"), tmp_path / "last")
    assert (last["stopped"], last["threshold"]) == (1.0, 0.5)
    assert row["validation"]["pooled"]["dice"] >= last["validation"]["pooled"]["dice"]


@pytest.mark.parametrize("kind", ["filters", "features"])
def test_a_pixel_classifier_stands_in_the_same_table(data, tmp_path, kind):
    path, name = tmp_path / "results.json", f"pixel-classifier-{kind}"
    small = replace(data, images=data.images.copy())
    part = dataset.split(data)
    chosen_patches = dataset.labelled(part, 0.5, seed=0)
    # nothing that has no label is looked at
    small.images[np.setdiff1d(part.train, chosen_patches)] = 0
    (row,) = study(path, small, PROTOCOL, [cell(name)])["runs"]
    assert row["test"]["pooled"]["dice"] > 0.8
    assert (row["steps"], row["updates"]) == (0, 0)
    assert 0 < row["threshold"] < 1
    assert Results(path, PROTOCOL).outdated(small, PROTOCOL, [cell(name)]) == []
    again = runs.run(cell(name), data, PROTOCOL, tmp_path / "again")
    assert again["weights_sha256"] == row["weights_sha256"]
