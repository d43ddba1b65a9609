"""`benchmarks/ablation.toml`: each row turns one switch, can be built and learns a step."""

import tomllib
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch

from models.batches import draw
from models.semisup.eugmt_options import EugmtOptions
from models.study.contenders import chosen
from models.study.protocol import Protocol
from models.training import Run
from tests.models.test_training import samples

FILE = Path(__file__).parents[3] / "benchmarks" / "ablation.toml"
TABLES = tomllib.loads(FILE.read_text())
VARIANTS = {each.name: each for each in chosen(["eugmt-plus"], FILE)}
PROTOCOL = Protocol(batch_labelled=3, batch_unlabelled=3, crop=32, warm_up=0)
STEPS = 20


def config(name):
    return VARIANTS[name].config(PROTOCOL, steps=STEPS, seed=0, threads=1)


def flat(training):
    document = asdict(training)
    return document | document.pop("options") | {"preset": ""}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_row_turns_what_it_says_against_its_base(name):
    table = dict(TABLES[name])
    before, after = flat(config(table.pop("base"))), flat(config(name))
    turned = {key for key in before if before[key] != after[key]}
    assert turned == table.keys(), f"{name} is to turn {set(table)} and turns {turned}"


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_row_learns_a_step(name):
    training = config(name)
    images, masks, unlabelled = samples()
    run = Run(training, None)
    # the last step: labels do not teach alone any more, and what rises has risen
    run.step = STEPS - 1
    before = [weight.detach().clone() for weight in run.learned]
    run.learn(draw(training, images, masks, unlabelled, run.step))
    losses = run.mean_losses()
    assert losses["supervised"] > 0
    alone = training.options.labelled_share == 1
    assert ("cross_pseudo" in losses) != alone
    assert ("exchanged_supervised" in losses) == (training.options.exchanged > 0)
    assert any(not torch.equal(old, new) for old, new in zip(before, run.learned, strict=True))


def test_every_switch_has_a_row():
    turned = set().union(*TABLES.values()) - {"base"}
    assert {each.name for each in fields(EugmtOptions)} <= turned
