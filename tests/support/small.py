"""A batch and a network small enough for double precision: what every method's test begins with."""

import torch
from torch import nn

from models.semisup.method import Batch


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 2, 3, padding=1)
    ).double()


def sample_batch(count=2, side=32, seed=0):
    """Random images whose red says what is membrane and whose green what is to be ignored."""
    generator = torch.Generator().manual_seed(seed)

    def images():
        return torch.rand(count, 3, side, side, generator=generator).double()

    labelled, unlabelled = images(), images()
    return Batch(
        labelled=labelled,
        labelled_strong=labelled + 0.1 * images(),
        labels=(labelled[:, 0] > 0.6).long(),
        valid=labelled[:, 1] > 0.1,
        unlabelled=unlabelled,
        unlabelled_strong=(unlabelled + 0.1 * images(), unlabelled + 0.1 * images()),
        unlabelled_noisy=unlabelled + 0.05 * images(),
        whole=unlabelled,
        source=torch.arange(count),
    )
