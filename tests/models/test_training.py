"""The loop: it learns, stops, goes on, and a kill leaves no trace in the weights."""

import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.acceleration import no_compiler
from models.networks import NetworkConfig, load_ensemble
from models.semisup.eugmt_options import EugmtOptions
from models.training import (
    PRESETS,
    CompilerGone,
    Stopped,
    TrainingDataError,
    TrainingDiverged,
    preset,
    train,
)

SIDE = 40


def samples(seed=0, count=3):
    """Images whose brown lines are the mask, and images without one."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for mask in masks:
        place = rng.integers(4, SIDE - 4)
        mask[place - 2 : place + 2] = 255
        mask[:, :3] = 127
    images = rng.integers(180, 220, (2 * count, SIDE, SIDE, 3), dtype=np.uint8)
    images[:count][masks == 255] = (120, 80, 50)
    return images[:count], masks, images[count:]


def tiny(name="eugmt-plus", **changes):
    few = {"iterations": 6, "batch_labelled": 2, "batch_unlabelled": 2, "crop": 32}
    small = {"checkpoint_every": 2, "threads": 1, "network": NetworkConfig()}
    config = preset(name, **(few | small | changes))
    if not isinstance(config.options, EugmtOptions):
        return config
    # short as it is, both what learns from labels alone and what comes after it has its steps
    share = min(config.options.labelled_share, 0.3)
    return replace(config, options=replace(config.options, grid=4, labelled_share=share))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_trains_and_is_reproducible(tmp_path, name):
    runs = [train(tiny(name), *samples(), workdir=tmp_path / part) for part in "ab"]
    assert runs[0].sha256 == runs[1].sha256
    assert runs[0].iterations == 6
    other = train(tiny(name, seed=1), *samples(), workdir=tmp_path / "c")
    assert other.sha256 != runs[0].sha256


def test_a_training_has_its_threads_and_leaves_the_process_its_own(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []
    try:
        for threads in (1, 0):
            train(
                tiny(threads=threads, iterations=2),
                *samples(),
                workdir=tmp_path / str(threads),
                progress=lambda *_: seen.append(torch.get_num_threads()),
            )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen[:2]) == {1}
    assert set(seen[2:]) == {2}


def test_it_learns_to_tell_the_line(tmp_path):
    config = tiny(iterations=25, learning_rate=5e-3)
    images, masks, unlabelled = samples()
    path = train(config, images, masks, unlabelled, workdir=tmp_path).path
    reported = []
    train(
        config,
        images,
        masks,
        unlabelled,
        workdir=tmp_path / "again",
        progress=lambda step, total, losses: reported.append((step, total, losses)),
        initial=path,
    )
    first, last = reported[0][2]["supervised"], reported[-1][2]["supervised"]
    assert reported[-1][:2] == (25, 25)
    assert last < 0.5, (first, last)
    assert first < 1, "a warm start begins where the weights left off"


CHILD = """
import sys
from pathlib import Path
from tests.models.test_training import samples, tiny
from models.training import train
def progress(step, total, losses):
    print(step, flush=True)
train(tiny({preset!r}, iterations=12), *samples(), workdir=Path(sys.argv[1]), progress=progress)
"""


def start(workdir, name):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(preset=name), str(workdir)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_killed_anywhere_it_ends_in_the_same_weights(tmp_path):
    """SIGKILL in a process of its own, at steps drawn anew in every run, then to the end."""
    name = "eugmt-plus"
    undisturbed = train(tiny(name, iterations=12), *samples(), workdir=tmp_path / "whole")
    steps = sorted(random.SystemRandom().sample(range(3, 12), 2))
    for kill_at in steps:
        child = start(tmp_path / "killed", name)
        reached = []
        for line in child.stdout:
            reached.append(int(line))
            if reached[-1] >= kill_at:
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.close()
        assert child.wait() in (-signal.SIGKILL, 0), f"kills at {steps}"
    assert (tmp_path / "killed/checkpoint.pt").is_file()
    seen = []
    again = train(
        tiny(name, iterations=12),
        *samples(),
        workdir=tmp_path / "killed",
        progress=lambda step, total, losses: seen.append(step),
    )
    assert again.sha256 == undisturbed.sha256, f"kills at {steps}"
    assert not seen or seen[0] > 1, f"it went on from a checkpoint; kills at {steps}"


@pytest.mark.parametrize("at", [0, 1, 3, 5])
def test_stopped_and_gone_on_it_ends_in_the_same_weights_and_curve(tmp_path, at):
    def run(workdir, stopping):
        curve = {}
        trained = train(
            tiny(),
            *samples(),
            workdir=workdir,
            progress=lambda step, total, losses: curve.__setitem__(step, losses),
            stopping=stopping,
        )
        return trained, curve

    whole, curve = run(tmp_path / "whole", lambda: False)
    asked = iter([False] * at + [True])
    with pytest.raises(Stopped):
        run(tmp_path / "cut", lambda: next(asked))
    rest, later = run(tmp_path / "cut", lambda: False)
    assert rest.sha256 == whole.sha256
    assert later == {step: losses for step, losses in curve.items() if step > at}


def switched(**switches):
    config = tiny()
    return replace(config, options=replace(config.options, **switches))


@contextmanager
def without_compiler():
    """Let torch look for a compiler where none is."""
    try:
        with torch._inductor.config.patch({"cpp.cxx": ("/no/compiler",)}):
            forget_compiler()
            yield
    finally:
        forget_compiler()


def forget_compiler():
    torch.compiler.reset()
    no_compiler.cache_clear()


def until(step):
    seen = iter(range(100))
    return lambda: next(seen) >= step


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")


@needs_compiler
def test_compiled_it_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    config = tiny("supervised", iterations=4, compile=True)
    whole = train(config, *samples(), workdir=tmp_path / "whole")
    assert whole.compiled
    with pytest.raises(Stopped):
        train(config, *samples(), workdir=tmp_path / "again", stopping=until(3))
    # what was compiled before is no part of what it goes on with
    forget_compiler()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    again = train(config, *samples(), workdir=tmp_path / "again")
    assert again.sha256 == whole.sha256
    plain = train(replace(config, compile=False), *samples(), workdir=tmp_path / "plain")
    assert not plain.compiled
    for one, other in zip(
        load_ensemble(whole.path).teacher.parameters(),
        load_ensemble(plain.path).teacher.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_without_a_compiler_it_says_so_and_trains_as_ever(tmp_path, caplog):
    config = tiny("supervised", iterations=3)
    with without_compiler():
        asked = train(replace(config, compile=True), *samples(), workdir=tmp_path / "asked")
    assert "torch finds no compiler" in caplog.text
    assert not asked.compiled
    assert asked.sha256 == train(config, *samples(), workdir=tmp_path / "plain").sha256


@needs_compiler
def test_what_was_begun_without_a_compiler_is_not_gone_on_with_by_one(tmp_path):
    config = tiny("supervised", compile=True)
    with without_compiler(), pytest.raises(Stopped):
        train(config, *samples(), workdir=tmp_path, stopping=until(3))
    with pytest.raises(CompilerGone, match="begun without a compiler"):
        train(config, *samples(), workdir=tmp_path)


def test_what_a_selector_remembers_outlives_a_kill(tmp_path):
    config = switched(
        threshold_memory=0.9,
        labelled_share=0.0,
        student_mix=0.99,
        consistency_weight=1.0,
        mixing="cut-mix",
    )
    whole = train(config, *samples(), workdir=tmp_path / "whole")
    asked = iter([False] * 3 + [True])
    with pytest.raises(Stopped):
        train(config, *samples(), workdir=tmp_path / "cut", stopping=lambda: next(asked))
    kept = torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["networks"]
    assert any(name.endswith("seen") and value.max() > 0 for name, value in kept.items())
    assert train(config, *samples(), workdir=tmp_path / "cut").sha256 == whole.sha256


def test_labelled_images_are_unlabelled_ones_as_well_if_asked(tmp_path):
    images, masks, unlabelled = samples()
    alone = {"labelled_share": 0.0, "student_mix": 0.99}
    config = switched(unlabelled_includes_labelled=True, **alone)
    asked = train(config, images, masks, unlabelled, workdir=tmp_path / "asked")
    both = np.concatenate([unlabelled, images])
    config = switched(**alone)
    given = train(config, images, masks, both, workdir=tmp_path / "given")
    without = train(config, images, masks, unlabelled, workdir=tmp_path / "without")
    assert asked.sha256 == given.sha256 != without.sha256


def test_a_half_written_checkpoint_is_not_one(tmp_path):
    whole = train(tiny(), *samples(), workdir=tmp_path / "whole")
    workdir = tmp_path / "torn"
    asked = iter([False] * 4 + [True])
    with pytest.raises(Stopped):
        train(tiny(), *samples(), workdir=workdir, stopping=lambda: next(asked))
    (workdir / "checkpoint.new").write_bytes(b"torn")
    assert train(tiny(), *samples(), workdir=workdir).sha256 == whole.sha256


@pytest.mark.parametrize("change", ["seed", "images", "initial"])
def test_a_checkpoint_of_another_training_is_left_alone(tmp_path, change):
    images, masks, unlabelled = samples()
    other = train(tiny(iterations=2), images, masks, unlabelled, workdir=tmp_path / "other").path
    arrays, config, initial = (images, masks, unlabelled), tiny(), None
    if change == "seed":
        config = tiny(seed=3)
    elif change == "images":
        arrays = samples(seed=9)
    else:
        initial = other
    fresh = train(config, *arrays, workdir=tmp_path / "fresh", initial=initial)
    train(tiny(), images, masks, unlabelled, workdir=tmp_path / "used")
    again = train(config, *arrays, workdir=tmp_path / "used", initial=initial)
    assert again.sha256 == fresh.sha256


def test_a_warm_start_begins_with_the_weights_given(tmp_path):
    first = train(tiny(), *samples(), workdir=tmp_path / "first").path
    config = tiny(learning_rate=0.0, weight_decay=0.0, iterations=1)
    second = train(config, *samples(), workdir=tmp_path / "second", initial=first).path
    before, after = load_ensemble(first), load_ensemble(second)
    for old, new in zip(before.students, after.students, strict=True):
        # batch norm's statistics move without a learning rate
        for weight, unmoved in zip(old.parameters(), new.parameters(), strict=True):
            assert torch.equal(weight, unmoved)


def test_the_options_written_down_are_all_there():
    document = preset("eugmt-paper", seed=5).document()
    assert document["preset"] == "eugmt-paper"
    assert document["options"]["student_mix"] == 0.99
    assert document["network"]["architecture"] == "deeplabv3plus"
    assert document["seed"] == 5
    with pytest.raises(ValueError, match="eugmt-plus"):
        preset("best")


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(TrainingDiverged, match="learning rate"):
        train(tiny(learning_rate=1e30, warm_up=0), *samples(), workdir=tmp_path)


@pytest.mark.parametrize(
    ("break_", "says"),
    [
        (lambda i, m, u: (i[:0], m[:0], u), "at least one labelled"),
        (lambda i, m, u: (i, m, u[:0]), "at least one labelled"),
        (lambda i, m, u: (i, m[:1], u), "do not match"),
        (lambda i, m, u: (i[:, :16], m[:, :16], u), "smaller than"),
    ],
)
def test_arrays_that_cannot_be_learned_from(tmp_path, break_, says):
    with pytest.raises(TrainingDataError, match=says):
        train(tiny(), *break_(*samples()), workdir=tmp_path)
