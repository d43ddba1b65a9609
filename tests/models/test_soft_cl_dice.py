"""Soft-clDice against cases small enough to peel by hand."""

import pytest
import torch

from models.semisup.soft_cl_dice import SMOOTH_PX, soft_cl_dice_loss, soft_skeleton


def lines(*rows, width=9):
    """A mask (1, 9, width) whose rows of these numbers are membrane."""
    mask = torch.zeros(1, 9, width, dtype=torch.float64)
    mask[:, list(rows)] = 1
    return mask


def logits_of(membrane):
    chance = membrane.clamp(1e-9, 1 - 1e-9)
    return torch.stack([torch.log1p(-chance), torch.log(chance)], 1)


def test_a_line_is_its_own_skeleton_and_a_band_is_thinned_to_one():
    assert torch.equal(soft_skeleton(lines(4)), lines(4))
    # beyond the border there is nothing, which an erosion does not count: the line runs through
    assert torch.equal(soft_skeleton(lines(3, 4, 5)), lines(4))


def test_half_a_membrane_is_half_a_line():
    torch.testing.assert_close(soft_skeleton(0.5 * lines(4)), 0.5 * lines(4))


def test_what_is_wider_than_the_reach_is_not_thinned_to_the_end():
    assert not soft_skeleton(lines(2, 3, 4, 5, 6), reach=1).any()
    assert torch.equal(soft_skeleton(lines(2, 3, 4, 5, 6), reach=2), lines(4))


def test_the_loss_of_a_line_that_is_cut():
    truth = lines(3, 4, 5).long()
    proposal = lines(4)
    proposal[..., 6:] = 0
    # all 6 px proposed lie in the truth; of its line of 9 px 6 lie in the proposal
    sensitivity = (6 + SMOOTH_PX) / (9 + SMOOTH_PX)
    expected = 1 - 2 * sensitivity / (1 + sensitivity)
    loss = soft_cl_dice_loss(logits_of(proposal), truth)
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_a_line_beside_the_truth_is_no_overlap():
    loss = soft_cl_dice_loss(logits_of(lines(1)), lines(6).long())
    share = SMOOTH_PX / (9 + SMOOTH_PX)
    assert float(loss) == pytest.approx(1 - share, abs=1e-6)


def test_nothing_proposed_of_nothing_is_no_loss_and_something_is():
    nothing = torch.zeros(1, 9, 9, dtype=torch.int64)
    assert float(soft_cl_dice_loss(logits_of(lines()), nothing)) == pytest.approx(0, abs=1e-6)
    assert float(soft_cl_dice_loss(logits_of(0.1 * lines(4)), nothing)) > 0.1


def test_an_ignored_place_is_neither_asked_for_nor_learned_from():
    valid = torch.ones(1, 9, 9, dtype=torch.bool)
    valid[:, :, 5:] = False
    truth = lines(4).long()
    logits = logits_of(0.7 * lines(4) + 0.1).requires_grad_()
    loss = soft_cl_dice_loss(logits, truth, valid)
    loss.backward()
    assert not logits.grad[..., 5:].any()
    other = torch.where(valid, truth, 1 - truth)
    torch.testing.assert_close(soft_cl_dice_loss(logits, other, valid), loss)


def test_it_teaches_a_gap_to_close_and_a_false_line_to_fade():
    proposal = 0.9 * lines(4) + 0.3 * lines(7) + 0.01
    proposal[:, 4, 4] = 0.1
    logits = logits_of(proposal).requires_grad_()
    soft_cl_dice_loss(logits, lines(4).long()).backward()
    towards_membrane = -logits.grad[0, 1]
    assert float(towards_membrane[4, 4]) > 0
    assert float(towards_membrane[7, 4]) < 0


def test_its_gradient_is_its_slope():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 7, 7, generator=generator, dtype=torch.float64).requires_grad_()
    labels = (torch.rand(1, 7, 7, generator=generator) > 0.6).long()
    assert torch.autograd.gradcheck(lambda z: soft_cl_dice_loss(z, labels), (logits,))
