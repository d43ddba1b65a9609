import pytest
import torch
from torch import nn

from models.semisup.passes import passes

DARK, BRIGHT = torch.zeros(2, 1, 4, 4), torch.ones(3, 1, 4, 4)


@pytest.mark.parametrize(("joint", "centre"), [(False, [0.0, 0.0]), (True, [-0.6, 0.4])])
def test_batch_norm_sees_parts_alone_or_together(joint, centre):
    """Two dark and three bright images have the mean 0.6 together, and none of their own alone."""
    norm = nn.BatchNorm2d(1, eps=1.0 - 0.24)  # the variance together is 0.24
    dark, bright = passes(norm, [DARK, BRIGHT], joint=joint)
    assert (len(dark), len(bright)) == (2, 3)
    for part, mean in zip((dark, bright), centre, strict=True):
        torch.testing.assert_close(part, torch.full_like(part, mean))


def test_without_batch_norm_it_makes_no_difference():
    torch.manual_seed(0)
    network = nn.Conv2d(1, 2, 3)
    apart, joint = (passes(network, [DARK, BRIGHT], joint=each) for each in (False, True))
    for one, other in zip(apart, joint, strict=True):
        torch.testing.assert_close(one, other)
