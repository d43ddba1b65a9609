"""`membrana train` and `membrana benchmark` as a shell runs them: figures out, errors in words."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from PIL import Image

from backend.kit.storage.blobs import file_sha256
from models.networks import NetworkConfig, load_ensemble
from models.study import runs
from models.study.protocol import of_the_paper
from tests.models.study.folders import MEMBRANE, write
from worker.commands.training_options import ProtocolOptions

QUICK = ("--crop", "64")


def membrana(*words, by=()):
    return subprocess.run(
        [sys.executable, *by, "-m", "worker.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def together(*words):
    """Run the command in two processes, as `torchrun` does, which is this module."""
    run = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return membrana(*words, by=run)


@pytest.fixture
def here(membrana):
    """The command in this process: quicker where it has only to refuse."""
    return membrana


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("set") / "lines", slides=5, fields=2)


def of(folder):
    names = ("--images", folder / "images", "--masks", folder / "masks")
    return (*names, "--positive", MEMBRANE, "--groups", folder / "groups.csv")


def test_without_a_compiler_train_says_so_and_goes_on(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "/no/compiler")
    done = membrana(
        "train", *of(folder), *QUICK, "--compile", "--method", "supervised", "--passes", 20,
        "-o", tmp_path / "model.safetensors",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "torch finds no compiler" in done.stderr
    figures = json.loads(done.stdout)
    assert (figures["compiled"], figures["config"]["compile"]) == (False, True)


def test_train_writes_a_model_and_its_figures(folder, tmp_path):
    model = tmp_path / "model.safetensors"
    done = membrana(
        "train", *of(folder), *QUICK, "--method", "eugmt", "--passes", 40, "--labelled", 0.5,
        "-o", model,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures == json.loads((tmp_path / "model.safetensors.json").read_text())
    assert 0 <= figures["test"]["pooled"]["dice"] <= 1
    assert figures["method"] == "eugmt-plus"
    assert len(load_ensemble(model).students) == 2
    # the very weights that were judged, with the threshold that they were judged at
    assert file_sha256(model) == figures["weights_sha256"]
    assert load_ensemble(model).threshold == figures["threshold"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [model.name, f"{model.name}.json"]


@pytest.mark.parametrize(
    ("words", "network"),
    [
        ((), NetworkConfig("unet-small-features", encoder_weights="imagenet")),
        (("--network", "unet-small"), NetworkConfig("unet-small")),
    ],
)
def test_train_without_a_method_takes_what_was_chosen_unless_a_network_is_named(
    here, folder, tmp_path, words, network
):
    model = tmp_path / "model.safetensors"
    done = here("train", *map(str, of(folder)), *QUICK, "--passes", "40", *words, "-o", str(model))
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    of_network = figures["config"]["network"]
    assert (of_network["architecture"], of_network["encoder_weights"]) == (
        network.architecture,
        network.encoder_weights,
    )
    assert load_ensemble(model).config.architecture == network.architecture


def test_torchrun_trains_in_two_processes_and_one_of_them_writes(folder, tmp_path):
    model = tmp_path / "model.safetensors"
    words = (
        "train", *of(folder), *QUICK, "--passes", 40, "--labelled", 0.5, "-o", model,
    )  # fmt: skip
    done = together(*words)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures == json.loads((tmp_path / "model.safetensors.json").read_text())
    assert figures["config"]["batch_labelled"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [model.name, f"{model.name}.json"]
    odd = together(*words, "--batch", 3)
    assert odd.returncode != 0
    assert "can't be shared evenly among 2 processes" in odd.stderr


def test_benchmark_prints_the_table_that_it_keeps(folder, tmp_path):
    results = tmp_path / "results.json"
    words = (
        "benchmark", *of(folder), *QUICK, "--methods", "supervised", "cps", "--labelled", "0.2",
        "0.5", "--seeds", 1, "--budget", 40, "--jobs", 2, "--name", "lines", "--mpp", "0.25",
        "-o", results,
    )  # fmt: skip
    done = membrana(*words)
    assert done.returncode == 0, done.stderr
    runs = json.loads(results.read_text())["runs"]
    assert {(run["method"], run["labelled"]) for run in runs} == {
        (method, share) for method in ("supervised", "cps") for share in (0.2, 0.5)
    }
    assert "cps" in done.stdout
    assert "supervised" in done.stdout
    assert "| HD95 µm |" in done.stdout
    assert (tmp_path / "results.md").read_text() in done.stdout
    assert {p.name for p in tmp_path.rglob("*.png")} == {"results.curves.png", "lines.png"}
    again = membrana("tables", results)
    assert again.stdout == done.stdout
    short = membrana("tables", "--summary", results)
    assert "| method | lines 20 % | lines 50 % |" in short.stdout
    chosen = membrana("tables", "--judge", "validation", results)
    assert "validation patches of 1 groups" in chosen.stdout
    (tmp_path / "other.json").write_text("[]")
    assert "results_unreadable" in membrana("tables", tmp_path / "other.json").stderr


def test_benchmark_judges_on_validation_and_leaves_the_test_alone(folder, tmp_path):
    results = tmp_path / "results.json"
    done = membrana(
        "benchmark", *of(folder), *QUICK, "--methods", "supervised", "--labelled", "0.5",
        "--seeds", 1, "--budget", 8, "--judge", "validation", "-o", results,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(results.read_text())["runs"]
    assert "test" not in row
    assert f"{row['validation']['patches']} validation patches" in done.stdout
    refused = membrana("tables", results)
    assert refused.returncode == 1
    assert "No training was judged on the test patches." in refused.stderr


def test_a_killed_study_leaves_no_process(folder, tmp_path):
    words = ("--methods", "supervised", "--budget", 10**6, "--jobs", 2, "--seeds", 2)
    study = psutil.Popen(
        [sys.executable, "-m", "worker.cli", "benchmark"]
        + [str(word) for word in (*of(folder), *QUICK, *words, "-o", tmp_path / "results.json")]
    )
    # two trainings, the process that they are forked from, and Python's watcher of shared memory
    while len(study.children(recursive=True)) < 4:
        assert study.poll() is None
    children = study.children(recursive=True)
    study.kill()
    study.wait()
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_active_learning_prints_its_table(folder, tmp_path):
    results = tmp_path / "active.json"
    done = membrana(
        "benchmark", *of(folder), *QUICK, "--active", "--methods", "eugmt-plus", "--strategies",
        "random", "entropy", "--labelled", "0.2", "0.6", "--seeds", 1, "--budget", 40,
        "-o", results,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(results.read_text())
    assert [chain["strategy"] for chain in found["chains"]] == ["random", "entropy"]
    assert "area under the curve" in done.stdout
    assert (tmp_path / "active.png").stat().st_size > 1000


BENCHMARK = (
    ((), "wrong_option"),
    (("--methods", "magic"), "method_unknown"),
    (("--methods", "cps", "--labelled", "2"), "wrong_option"),
    (("--methods", "cps", "--labelled", "nan"), "wrong_option"),
    (("--methods", "cps", "--strong", "hue"), "wrong_option"),
    (("--methods", "cps", "--judge", "both"), "wrong_option"),
    (("--methods", "cps", "--protocol", "mine"), "wrong_option"),
    (("--methods", "cps", "--schedule", "steps"), "wrong_option"),
    (("--methods", "cps", "--encoder-weights", "/none.pt"), "encoder_weights_missing"),
    (("--methods", "cps", "--encoder", "nonsense"), "unknown_encoder"),
    (("--methods", "cps", "--groups", "/none.csv"), "groups_unreadable"),
    (("--methods", "cps", "--jobs", "0"), "wrong_option"),
    (("--methods", "cps", "--seeds", "0"), "wrong_option"),
    (("--methods", "cps", "--budget", "0"), "wrong_option"),
    (("--methods", "cps", "--batch", "0"), "wrong_option"),
    (("--methods", "cps", "--crop", "90"), "wrong_option"),
    (("--methods", "cps", "--learning-rate", "0"), "wrong_option"),
    (("--methods", "cps", "--learning-rate", "nan"), "wrong_option"),
    (("--methods", "cps", "--mpp", "0"), "wrong_option"),
    (("--methods", "cps", "--device", "foo"), "wrong_option"),
    (("--methods", "cps", "--device", "cuda:99"), "no_gpu"),
    (("--methods", "cps", "--name", "../lines"), "wrong_option"),
    (("--methods", "cps", "--active", "--labelled", "0.5"), "wrong_option"),
    (("--methods", "cps", "bcp", "--active"), "wrong_option"),
)
TRAIN = (
    (("--labelled", "nan"), "wrong_option"),
    (("--labelled", "2"), "wrong_option"),
    (("--labelled", "-1"), "wrong_option"),
    (("--threads", "0"), "wrong_option"),
    (("--passes", "0"), "wrong_option"),
    (("--seed", "-1"), "wrong_option"),
    (("--method", "magic"), "method_unknown"),
    (("--method", "supervised-features", "--network", "unet"), "wrong_option"),
    (("--device", "cuda:99"), "no_gpu"),
)


@pytest.mark.parametrize(
    ("command", "words", "code"),
    [("benchmark", *each) for each in BENCHMARK] + [("train", *each) for each in TRAIN],
)
def test_wrong_words_are_named_before_anything_is_trained(
    here, folder, tmp_path, command, words, code
):
    into = tmp_path / "out"
    into.mkdir()
    done = here(command, *map(str, of(folder)), *words, "-o", str(into / "results.json"))
    assert f"({code})" in done.err
    assert len(done.err.strip().splitlines()) == 1
    # 2 is wrong use, 1 that the work failed
    assert done.code == (2 if code in {"wrong_option", "method_unknown", "unknown_encoder"} else 1)
    assert not list(into.iterdir())


@pytest.mark.parametrize("command", ["train", "benchmark"])
def test_a_place_where_nothing_can_be_written_is_named_before_anything_is_trained(
    here, folder, tmp_path, command
):
    (tmp_path / "file").touch()
    method = ("--method",) if command == "train" else ("--methods",)
    done = here(
        command, *map(str, of(folder)), *method, "supervised", "--labelled", "0.5",
        "-o", str(tmp_path / "file" / "out.json"),
    )  # fmt: skip
    assert done.code == 2
    assert done.err.startswith("-o can't be written to ")
    assert "(wrong_option)" in done.err


def test_two_trainings_do_not_work_in_one_folder(here, folder, tmp_path):
    with runs.alone(tmp_path / "model.safetensors.work", wait=False):
        done = here(
            "train", *map(str, of(folder)), "--method", "supervised", "--passes", "8",
            "-o", str(tmp_path / "model.safetensors"),
        )  # fmt: skip
    assert done.code == 1
    assert "(study_running)" in done.err
    assert not (tmp_path / "model.safetensors").exists()


def test_a_region_of_another_size_is_named(here, folder, tmp_path):
    region = tmp_path / "region"
    region.mkdir()
    for path in (folder / "images").iterdir():
        Image.new("L", (99, 256), 255).save(region / path.name)
    done = here(
        "benchmark", *map(str, of(folder)), "--methods", "cps", "--region", str(region),
        "-o", str(tmp_path / "results.json"),
    )  # fmt: skip
    assert done.code == 1
    assert "(region_mismatch)" in done.err


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        ("{", "results_unreadable"),
        ("[]", "results_unreadable"),
        ('{"chains": []}', "results_unreadable"),
        ('{"runs": [], "sets": {}}', "results_unreadable"),
        ('{"runs": [], "sets": {}, "protocol": {"crop": 32}}', "results_differ"),
    ],
)
def test_a_foreign_file_is_not_written_over(here, folder, tmp_path, kept, code):
    results = tmp_path / "results.json"
    results.write_text(kept)
    done = here("benchmark", *map(str, of(folder)), "--methods", "cps", "-o", str(results))
    assert f"({code})" in done.err
    assert results.read_text() == kept


@pytest.mark.parametrize("output", ["results.md", "folder"])
def test_an_output_that_is_no_file_of_its_own_is_refused(here, folder, tmp_path, output):
    (tmp_path / "folder").mkdir()
    done = here(
        "benchmark", *map(str, of(folder)), "--methods", "cps", "-o", str(tmp_path / output)
    )
    assert (done.code, "(wrong_option)" in done.err) == (2, True)


def test_options_change_a_protocol_and_leave_the_rest():
    assert ProtocolOptions("paper").chosen() == of_the_paper()
    changed = ProtocolOptions(
        "paper", encoder="resnet18", passes=100, schedule="poly", batch=2
    ).chosen()
    network = replace(of_the_paper().network, encoder="resnet18")
    assert changed == replace(
        of_the_paper(),
        network=network,
        passes=100,
        schedule="poly",
        batch_labelled=2,
        batch_unlabelled=2,
    )
    other = ProtocolOptions("paper", network="unet-small").chosen()
    assert other.network == NetworkConfig("unet-small")


def test_torchrun_is_refused_where_each_process_would_run_all(here, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = here(
        "benchmark", *map(str, of(folder)), "--methods", "cps", "-o", str(tmp_path / "results.json")
    )
    assert done.code == 2
    assert "--jobs" in done.err
