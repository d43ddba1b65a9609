"""Soft-clDice: what a thin structure loses when it is cut is little area, but all of its line.

Source: Shit et al., CVPR 2021 (arXiv 2003.07311), algorithm 1 and eqs. 1-3.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.semisup.losses import margin

REACH_PX = 5
"""Half the width that is thinned to a line: membranes and vessels are up to 10 px wide."""
SMOOTH_PX = 1.0
"""With less, a batch without membrane would have a loss of 1 or 0 and no slope between."""


def soft_cl_dice_loss(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return 1 - soft clDice of the membrane over the whole batch.

    logits (B, 2, H, W); labels int64 (B, H, W); valid bool (B, H, W): what a person said to
    ignore is background to both, so it is on no line and no line is found in it.
    """
    proposal = margin(logits).sigmoid()
    truth = labels.to(proposal.dtype)
    if valid is not None:
        proposal, truth = proposal * valid, truth * valid
    with torch.no_grad():
        line_of_truth = soft_skeleton(truth)
    precision = share_within(soft_skeleton(proposal), truth)
    sensitivity = share_within(line_of_truth, proposal)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def share_within(line: Tensor, mask: Tensor) -> Tensor:
    """Return the share of a line that lies in a mask."""
    return ((line * mask).sum() + SMOOTH_PX) / (line.sum() + SMOOTH_PX)


def soft_skeleton(mask: Tensor, reach: int = REACH_PX) -> Tensor:
    """Return how much each pixel is of a mask's centre line, 0 to 1: (B, H, W) as the mask.

    Peeled layer by layer, what an opening would lose is line.
    """
    layer = mask.unsqueeze(1)
    line = lost_by_opening(layer)
    for _ in range(reach):
        layer = eroded(layer)
        line = line + (1 - line) * lost_by_opening(layer)
    return line.squeeze(1)


def lost_by_opening(mask: Tensor) -> Tensor:
    return F.relu(mask - dilated(eroded(mask)))


def dilated(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask, 3, stride=1, padding=1)


def eroded(mask: Tensor) -> Tensor:
    return -F.max_pool2d(-mask, 3, stride=1, padding=1)
