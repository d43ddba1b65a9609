"""Every method on the shared loop: the same again, gone on with after a kill, and never waiting."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from models.batches import draw
from models.networks import NetworkConfig, load_ensemble
from models.presets import TrainingConfig
from models.semisup.method import Options
from models.semisup.methods import METHODS
from models.training import Run, make_method, train
from tests.models.test_training import samples

STEPS = 6


class Killed(BaseException):
    """What no handler catches."""


def config(name, **changes):
    return TrainingConfig(
        preset=name,
        method=name,
        options=quick(METHODS[name].options()),
        network=NetworkConfig(),
        iterations=STEPS,
        batch_labelled=2,
        batch_unlabelled=2,
        crop=32,
        learning_rate=1e-3,
        checkpoint_every=2,
        threads=1,
        **changes,
    )


def quick(options: Options) -> Options:
    """Short as a test is, every phase of a training has its steps."""
    if not hasattr(options, "labelled_share"):
        return options
    return replace(options, labelled_share=min(options.labelled_share, 0.3))


def weights(networks):
    return [weight.detach().clone() for net in networks for weight in net.parameters()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a method undisturbed, once."""
    return cache(
        lambda name: train(config(name), *samples(), workdir=tmp_path_factory.mktemp(name))
    )


@pytest.mark.parametrize("name", sorted(METHODS))
def test_killed_and_gone_on_with_it_ends_in_the_same_weights(tmp_path, trained, name):
    def killed(step, total, losses):
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(config(name), *samples(), workdir=tmp_path, progress=killed)
    steps = []
    again = train(
        config(name),
        *samples(),
        workdir=tmp_path,
        progress=lambda step, total, losses: steps.append(step),
    )
    assert steps == [5, 6], "it went on from the checkpoint of step 4"
    assert again.sha256 == trained(name).sha256
    assert again.iterations == STEPS


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_student_moves_and_stays_finite(trained, name):
    before = make_method(config(name), None)
    after = load_ensemble(trained(name).path)
    assert len(after.students) == len(before.students)
    for old, new in zip(before.students, after.students, strict=True):
        moved = [not torch.equal(a, b) for a, b in zip(weights([old]), weights([new]), strict=True)]
        # a head of a method may end below a network's last layer, but nearly all must learn
        assert sum(moved) > 0.9 * len(moved)
    assert all(torch.isfinite(weight).all() for weight in weights(after.networks()))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_teacher_is_the_first_student_or_learns_nothing_by_gradients(name):
    method = make_method(config(name), None)
    if method.teacher is method.students[0]:
        return
    assert not any(weight.requires_grad for weight in method.teacher.parameters())
    learned = {id(weight) for net in method.students for weight in net.parameters()}
    assert not learned & {id(weight) for weight in method.teacher.parameters()}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_update_reads_a_value_back_from_the_device(name):
    """A read holds a GPU up until all before it is done; on `meta` there is no value to read."""
    run = Run(config(name, device="meta"), None)
    for step in (0, STEPS - 1):
        for losses in run.method.updates(draw(run.config, *samples(), step), step):
            torch.autograd.backward(losses["total"])
            run.method.after_update(step)
            assert all(loss.is_meta and loss.ndim == 0 for loss in losses.values())


@pytest.mark.parametrize("read", [bool, float, torch.nonzero, lambda loss: loss[loss > 0]])
def test_a_read_would_be_noticed(read):
    with pytest.raises((RuntimeError, NotImplementedError)):
        read(torch.zeros((), device="meta"))
