"""EUGMT's switches: each by hand, none felt at its default, and every term trains its students."""

from dataclasses import fields, replace

import pytest
import torch

from models.presets import PRESETS
from models.semisup.eugmt import Eugmt
from models.semisup.eugmt_options import CHOICES, EugmtOptions
from models.semisup.losses import dice_loss, hard_labels, masked_consistency
from models.semisup.mixing import MIXTURES
from models.semisup.schedules import ramp
from models.semisup.soft_cl_dice import soft_cl_dice_loss
from tests.support.small import network

STEPS, STEP = 100, 40
OPTIONS = EugmtOptions(grid=4, least_share=0.0)
BEFORE = {
    # float64, of the code before there were these switches (commit f33d9e3)
    "eugmt-paper": (1.2197926500627272, 1.201243762443438),
    "ucmt": (1.1275956660158906, 1.1236952165434844),
    "eugmt-plus": (1.2088379047752393,),
}


def method(**switches):
    options = replace(OPTIONS, **switches)
    return Eugmt((network(1), network(2)), network(3), options, steps=STEPS)


def first_of(batch, **switches):
    """Return the first update's losses, of the same drawing of boxes whatever is switched."""
    torch.manual_seed(7)
    return next(method(**switches).updates(batch, STEP))


def all_of(batch, learner):
    torch.manual_seed(7)
    return {name: loss for losses in learner.updates(batch, STEP) for name, loss in losses.items()}


@pytest.mark.parametrize("name", sorted(BEFORE))
def test_at_their_defaults_nothing_changed(batch, name):
    if name == "eugmt-plus":
        options = EugmtOptions(
            unsupervised_weight=0.1,
            consistency_weight=0.1,
            labelled_share=0.9,
            ramp_share=0.2,
            exchanged=0,
            confidence=0.55,
            loss="dice+ce",
            strong_labelled=True,
            steady_teacher=True,
        )
    else:
        options = replace(PRESETS[name].options, grid=4)
    learner = Eugmt((network(1), network(2)), network(3), options, steps=STEPS)
    step = 95 if name == "eugmt-plus" else STEP
    totals = tuple(float(losses["total"].detach()) for losses in learner.updates(batch, step))
    assert totals == pytest.approx(BEFORE[name], rel=1e-12)
    assert learner.extras == ()


def test_the_consistency_may_come_at_its_whole_weight(batch):
    losses = first_of(batch, ramp_consistency=False, consistency_weight=0.3)
    taught = losses["cross_pseudo"] + losses["from_teacher"]
    total = losses["supervised"] + ramp(STEP, STEPS) * taught + 0.3 * losses["consistency"]
    assert losses["consistency"] > 0
    torch.testing.assert_close(losses["total"], total)


def test_a_sum_over_the_pair_is_twice_its_mean(batch):
    mean, both = (first_of(batch, pair_reduction=each) for each in ("mean", "sum"))
    for name in ("cross_pseudo", "from_teacher", "consistency"):
        torch.testing.assert_close(both[name], 2 * mean[name])
    torch.testing.assert_close(both["supervised"], mean["supervised"])


@pytest.mark.parametrize(
    ("switch", "value"), [("consistency_of", "logit"), ("consistency_over", "pixels")]
)
def test_the_consistency_s_form_is_handed_on(batch, switch, value):
    learner = method(**{switch: value})
    losses = next(learner.updates(batch, STEP))
    with torch.no_grad():
        teacher, noisy = learner.teacher(batch.unlabelled), learner.teacher(batch.unlabelled_noisy)
        pairs = zip(learner.students, batch.unlabelled_strong, strict=True)
        students = [student(view) for student, view in pairs]
        weights = learner.selector.weights(students, teacher)
        form = {switch.removeprefix("consistency_"): value}
        expected = 0.5 * sum(
            masked_consistency(student, noisy, weight, **form)
            for student, weight in zip(students, weights, strict=True)
        )
    torch.testing.assert_close(losses["consistency"].detach(), expected)
    assert expected > 0


def test_thin_structures_are_asked_for_beside_the_supervised_loss(batch):
    learner = method(thin_weight=0.2)
    losses = next(learner.updates(batch, STEP))
    with torch.no_grad():
        expected = sum(
            loss(student(batch.labelled), batch.labels, batch.valid) * weight
            for student in learner.students
            for loss, weight in ((dice_loss, 1.0), (soft_cl_dice_loss, 0.2))
        )
    torch.testing.assert_close(losses["supervised"].detach(), expected)


def test_the_teacher_may_follow_the_students_by_turns():
    learner = method(alternating=True, ema_limit=0.9, fork=True, labelled_share=0.1)
    for step, which in ((50, 0), (51, 1)):
        before = [weight.clone() for weight in learner.teacher.parameters()]
        learner.after_update(step)
        followed = learner.students[which].parameters()
        moved = zip(before, learner.teacher.parameters(), followed, strict=True)
        for old, new, student in moved:
            torch.testing.assert_close(new, 0.9 * old + 0.1 * student.detach())


@pytest.mark.parametrize("mixing", sorted(MIXTURES))
def test_mixed_views_are_taught_the_mixed_answer(batch, mixing):
    learner = method(mixing=mixing, exchanged=0)
    losses = all_of(batch, learner)
    torch.manual_seed(7)
    mixture = MIXTURES[mixing](batch)
    with torch.no_grad():
        views = mixture.seen(batch.unlabelled_strong)
        u1, u2 = (s(view) for s, view in zip(learner.students, views, strict=True))
        labels = mixture.given(learner.teacher(batch.unlabelled)).argmax(1)
        counted = mixture.counted
        taught = 0.5 * (dice_loss(u1, labels, counted) + dice_loss(u2, labels, counted))
        cross = dice_loss(u1, u2.argmax(1), counted) + dice_loss(u2, u1.argmax(1), counted)
    torch.testing.assert_close(losses["from_teacher"].detach(), taught)
    torch.testing.assert_close(losses["cross_pseudo"].detach(), 0.5 * cross)


def test_what_is_cut_out_is_in_no_unsupervised_loss(batch):
    learner = method(mixing="cut-out", exchanged=0, consistency_at="everywhere")
    losses = all_of(batch, learner)
    torch.manual_seed(7)
    mixture = MIXTURES["cut-out"](batch)
    with torch.no_grad():
        views = mixture.seen(batch.unlabelled_strong)
        noisy = learner.teacher(batch.unlabelled_noisy)
        pairs = zip(learner.students, views, strict=True)
        expected = 0.5 * sum(
            masked_consistency(student(view), noisy, ~mixture.box) for student, view in pairs
        )
    torch.testing.assert_close(losses["consistency"].detach(), expected)


TURNED = {
    "ramp_consistency": {"ramp_consistency": False},
    "pair_reduction": {"pair_reduction": "sum"},
    "logit": {"consistency_of": "logit"},
    "pixels": {"consistency_over": "pixels"},
    "thin": {"thin_weight": 0.2},
    "trusted": {"consistency_at": "trusted"},
    "everywhere": {"consistency_at": "everywhere"},
    "weighted": {"consistency_at": "weighted"},
    "image": {"scope": "image"},
    "boundary": {"boundary_px": 1},
    "memory": {"threshold_memory": 0.9},
    "fallback": {"absent_fallback": "full_mse", "least_share": 0.6},
    "agreeing": {"drop_agreeing": False},
    "cut-mix": {"mixing": "cut-mix"},
    "cut-out": {"mixing": "cut-out"},
    "copy-paste": {"mixing": "copy-paste"},
    "thin, ce": {"thin_weight": 0.2, "loss": "dice+ce"},
}


@pytest.mark.parametrize("name", sorted(TURNED))
def test_each_term_trains_both_students_and_never_the_teacher(batch, name):
    terms = set(all_of(batch, method(**TURNED[name]))) - {"total"}
    assert len(terms) == 7
    for term in sorted(terms):
        learner = method(**TURNED[name])
        all_of(batch, learner)[term].backward()
        for student in learner.students:
            assert any(weight.grad.abs().max() > 1e-8 for weight in student.parameters()), term
        assert all(weight.grad is None for weight in learner.teacher.parameters())


# the memory's first set is its own
@pytest.mark.parametrize("name", sorted(TURNED.keys() - {"memory"}))
def test_a_switch_that_is_turned_is_felt(batch, name):
    losses, before = first_of(batch, **TURNED[name]), first_of(batch)
    assert abs(float(losses["total"].detach() - before["total"].detach())) > 1e-6


def test_remembered_thresholds_are_part_of_a_checkpoint(batch):
    learner = method(threshold_memory=0.9)
    list(learner.updates(batch, STEP))
    (memory,) = learner.extras
    assert list(memory.parameters()) == [], "nothing to train"
    assert set(memory.state_dict()) == {"mean", "seen"}
    assert memory.seen.tolist() == [[1, 1], [1, 1]]
    given = hard_labels(learner.students[1](batch.unlabelled_strong[1])).bool()
    chance = learner.teacher(batch.unlabelled).softmax(1)[:, 1]
    own = torch.stack([(1 - chance)[~given].mean(), chance[given].mean()])
    torch.testing.assert_close(memory.mean[1], own, atol=1e-6, rtol=0)


@pytest.mark.parametrize("switch", sorted(CHOICES))
def test_a_word_that_is_no_choice_is_refused(switch):
    with pytest.raises(ValueError, match=CHOICES[switch][1]):
        EugmtOptions(**{switch: "nothing of the kind"})


def test_every_choice_is_a_switch_and_its_default_is_one():
    names = {each.name: each.default for each in fields(EugmtOptions)}
    for switch, choices in CHOICES.items():
        assert names[switch] in choices


@pytest.mark.parametrize(("share", "weak"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_part_of_the_labelled_images_is_seen_as_it_is(batch, share, weak):
    options = replace(OPTIONS, strong_labelled=True, weak_share=share)
    learner = Eugmt((network(1), network(2)), network(3), options, steps=STEPS)
    seen = learner.labelled_view(batch)
    assert len(batch.labelled) == 2
    assert not torch.equal(batch.labelled, batch.labelled_strong)
    assert torch.equal(seen[:weak], batch.labelled[:weak])
    assert torch.equal(seen[weak:], batch.labelled_strong[weak:])


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match="weak_share"):
        EugmtOptions(weak_share=1.5)
