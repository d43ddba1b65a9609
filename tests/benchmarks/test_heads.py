"""Fast rounds learn a network's last layers apart: put together they are the network again."""

import pytest
import torch

from benchmarks import heads


@pytest.mark.parametrize("below_block", [True, False])
def test_what_stays_and_what_learns_are_together_the_network(below_block: bool) -> None:  # noqa: FBT001
    network = heads.starter()
    trunk, tail = (part(network, below_block=below_block) for part in (heads.Trunk, heads.Tail))
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together, whole = tail.eval()(trunk(images)), network(images)
    assert torch.equal(together, whole)
    # what learns is a part of it, not a copy
    assert {id(each) for each in tail.parameters()} < {id(each) for each in network.parameters()}


def test_crops_of_features_and_of_masks_are_of_the_same_place() -> None:
    places = torch.arange(256 * 256).view(1, 1, 256, 256).expand(3, 1, -1, -1)
    features, masks = heads.cropped((places, places[:, 0]), torch.Generator().manual_seed(0))
    assert features.shape == (heads.BATCH, 1, heads.CROP, heads.CROP)
    assert torch.equal(features[:, 0], masks)
    corners = masks[:, 0, 0]
    # two by two pixels share a place: a crop at an odd one would tear them apart
    assert not (corners // 256 % 2).any()
    assert not (corners % 2).any()
