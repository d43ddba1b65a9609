"""FixMatch and UniMatch: each term from its formula, thresholds, boxes, dropped features."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.networks import SmallUNet, decode, encode
from models.semisup.losses import dice_loss
from models.semisup.paste import cut_boxes, partners
from models.semisup.unimatch import FixMatchOptions, UniMatch, UniMatchOptions, sure_cross_entropy
from tests.support.small import sample_batch

STEPS, STEP = 100, 40
CONFIDENCE = 0.65
UNIMATCH = UniMatchOptions(confidence=CONFIDENCE)
FIXMATCH = FixMatchOptions(confidence=CONFIDENCE)


def network(seed=0):
    """A U-Net in double precision, sure of some pixels, that judges each image by itself.

    Its batch norm has the statistics of one batch.
    """
    torch.manual_seed(seed)
    net = SmallUNet().double()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        net.head.bias.zero_()
        net.head.weight.mul_(2)
        net(sample_batch(count=3, seed=1).unlabelled)
    return net.eval()


@pytest.fixture
def batch():
    return sample_batch(count=3)


def method(options=UNIMATCH):
    return UniMatch(network(), options, steps=STEPS)


def only(learner, batch, step=STEP):
    torch.manual_seed(11)
    losses = list(learner.updates(batch, step))
    assert len(losses) == 1
    return losses[0]


def supervised(learner, batch):
    logits = learner.teacher(batch.labelled)
    picked = logits.movedim(1, -1)[batch.valid], batch.labels[batch.valid]
    dice = dice_loss(logits, batch.labels, batch.valid, whole_batch=True)
    return 0.5 * dice + 0.5 * F.cross_entropy(*picked)


def taught(learner, batch):
    """The weak view's labels and where they are sure, from the odds of two classes."""
    with torch.no_grad():
        logits = learner.teacher(batch.unlabelled)
    odds = torch.exp(logits[:, 1] - logits[:, 0])
    labels = (odds > 1).long()
    sure = torch.maximum(odds, 1 / odds) >= CONFIDENCE / (1 - CONFIDENCE)
    assert 0.1 < sure.double().mean() < 0.9, "all alike: the case shows nothing"
    assert 0.01 < labels[sure].double().mean() < 0.99
    return labels, sure


def summed_loss(logits, labels, sure):
    """Minus the log probability of the label over sure pixels, divided by all pixels."""
    picked = logits.log_softmax(1).movedim(1, -1)[sure], labels[sure]
    return F.nll_loss(*picked, reduction="sum") / sure.numel()


def strong(learner, batch, views):
    """Mean loss of the first views, pasted pixel by pixel as drawn."""
    labels, sure = taught(learner, batch)
    total = 0.0
    for view in batch.unlabelled_strong[:views]:
        partner, box = partners(view), cut_boxes(view, smallest=0.1, largest=0.5)
        image, target, counted = view.clone(), labels.clone(), sure.clone()
        for mine, row, column in box.nonzero().tolist():
            other = partner[mine]
            image[mine, :, row, column] = view[other, :, row, column]
            target[mine, row, column] = labels[other, row, column]
            counted[mine, row, column] = sure[other, row, column]
        with torch.no_grad():
            total = total + summed_loss(learner.teacher(image), target, counted)
    return total / views


def dropped(learner, batch):
    """The loss of the view whose features lose half of their channels."""
    with torch.no_grad():
        features = encode(learner.teacher, batch.unlabelled)
        kept = [F.dropout2d(level, 0.5) for level in features]
        return summed_loss(decode(learner.teacher, kept), *taught(learner, batch))


@pytest.mark.parametrize("joint", [False, True])
def test_unimatch_is_the_equation(batch, joint):
    learner = method(replace(UNIMATCH, unsupervised_weight=0.8, joint_batches=joint))
    losses = only(learner, batch)
    torch.manual_seed(11)
    features, views = dropped(learner, batch), strong(learner, batch, 2)
    torch.testing.assert_close(losses["features"].detach(), features)
    torch.testing.assert_close(losses["strong"].detach(), views)
    labelled = supervised(learner, batch)
    torch.testing.assert_close(losses["supervised"], labelled)
    torch.testing.assert_close(losses["total"], labelled + 0.8 * (0.5 * views + 0.5 * features))


def test_fixmatch_has_one_strong_view_and_no_other(batch):
    learner = method(FIXMATCH)
    losses = only(learner, batch)
    torch.manual_seed(11)
    views = strong(learner, batch, 1)
    assert set(losses) == {"total", "supervised", "strong"}
    torch.testing.assert_close(losses["strong"].detach(), views)
    torch.testing.assert_close(losses["total"], supervised(learner, batch) + views)


@pytest.mark.parametrize(("joint", "sizes"), [(False, [3] * 5), (True, [9, 6])])
def test_whole_channels_are_dropped_and_the_rest_doubled(batch, joint, sizes):
    """What the decoder reads first are the coarsest features: labelled, unlabelled, dropped."""
    learner, read = method(replace(UNIMATCH, joint_batches=joint)), []
    learner.teacher.narrow[0].register_forward_pre_hook(lambda part, inputs: read.append(inputs[0]))
    only(learner, batch)
    assert [len(features) for features in read] == sizes
    _, whole, changed = torch.cat(read)[:9].split(3)
    kept = changed.abs().amax((2, 3), keepdim=True) > 0
    torch.testing.assert_close(changed, 2 * whole * kept)
    had = whole.abs().amax((2, 3), keepdim=True) > 0
    assert 0.35 < (kept & had).sum() / had.sum() < 0.65


@pytest.mark.parametrize("name", ["supervised", "strong", "features"])
def test_each_term_trains_the_whole_network(batch, name):
    learner = method()
    only(learner, batch)[name].backward()
    for key, weight in learner.teacher.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.abs().max() > 1e-9, key


def test_the_weak_view_is_a_target_only(batch):
    """Nothing flows back through labels and thresholds: other weak logits, the same gradient."""
    learner = method(replace(UNIMATCH, feature_weight=0.0))
    only(learner, batch)["strong"].backward()
    ours = [weight.grad.clone() for weight in learner.teacher.parameters()]
    learner.teacher.zero_grad()
    labels, sure = taught(learner, batch)
    torch.manual_seed(11)
    learner.strong(batch, labels, sure).backward()
    for grad, weight in zip(ours, learner.teacher.parameters(), strict=True):
        torch.testing.assert_close(grad, weight.grad)


def test_a_label_below_the_confidence_teaches_nothing(batch):
    losses = only(method(replace(UNIMATCH, confidence=1.1)), batch)
    assert losses["strong"] == 0
    assert losses["features"] == 0
    torch.testing.assert_close(losses["total"], losses["supervised"])


def test_sure_cross_entropy_by_hand():
    """Two of four pixels are sure, of probabilities 0.8 and 0.5 for their labels."""
    odds = torch.tensor([[[[4.0, 1.0], [9.0, 9.0]]]]).log()
    logits = torch.cat([torch.zeros_like(odds), odds], 1)
    labels = torch.tensor([[[1, 0], [0, 1]]])
    sure = torch.tensor([[[True, True], [False, False]]])
    expected = -(math.log(0.8) + math.log(0.5)) / 4
    assert sure_cross_entropy(logits, labels, sure).item() == pytest.approx(expected)


def test_the_papers_values_are_the_defaults():
    options = UniMatchOptions()
    assert (options.confidence, options.dropout, options.strong_views) == (0.95, 0.5, 2)
    assert (options.strong_weight / options.strong_views, options.feature_weight) == (0.25, 0.5)
    fixmatch = FixMatchOptions()
    assert (fixmatch.confidence, fixmatch.strong_views, fixmatch.strong_weight) == (0.95, 1, 1.0)
    assert fixmatch.feature_weight == 0


def test_labels_alone_come_first(batch):
    learner = method(replace(UNIMATCH, labelled_share=0.5, ramp_share=0.2))
    assert set(only(learner, batch, 49)) == {"total", "supervised"}
    for step, rising in ((50, math.exp(-5)), (60, math.exp(-5 / 4)), (99, 1.0)):
        losses = only(learner, batch, step)
        rest = 0.5 * losses["strong"] + 0.5 * losses["features"]
        torch.testing.assert_close(losses["total"], losses["supervised"] + rising * rest)


def test_one_image_is_its_own_partner():
    learner = method()
    losses = only(learner, sample_batch(count=1))
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_features_of_an_encoder_from_smp_are_dropped(batch):
    """Networks of segmentation-models-pytorch have the same seam between encoder and decoder."""
    from models.networks import NetworkConfig, build

    net = build(NetworkConfig("unet", "resnet18")).double()
    assert isinstance(net, nn.Module)
    losses = only(UniMatch(net, replace(UNIMATCH, confidence=0.5), steps=STEPS), batch)
    losses["features"].backward()
    first = next(net.get_submodule("encoder").parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 0
