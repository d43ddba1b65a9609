"""Perturbations of features (B, C, H, W) under which a prediction shall stay the same.

Ouali, Hudelot, Tami: Semi-Supervised Semantic Segmentation with Cross-Consistency Training,
CVPR 2020, §3.3. Random numbers come from torch's global generator; nothing is read back.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def noise(features: Tensor, *, limit: float) -> Tensor:
    """F-Noise: add features times a noise drawn evenly from -limit to limit."""
    return features * (1 + limit * (2 * torch.rand_like(features) - 1))


def drop_active(features: Tensor, *, least: float, most: float) -> Tensor:
    """F-Drop: blank the places whose activity exceeds a share, drawn from least to most, of the
    image's highest.
    """
    activity = features.detach().mean(1, keepdim=True)
    low, high = activity.amin((2, 3), keepdim=True), activity.amax((2, 3), keepdim=True)
    share = (activity - low) / (high - low).clamp(min=torch.finfo(activity.dtype).eps)
    limit = least + (most - least) * torch.rand_like(share[:, :, :1, :1])
    return features * (share < limit)


def drop_channels(features: Tensor, *, share: float) -> Tensor:
    """DropOut: blank whole channels and strengthen the others."""
    return F.dropout2d(features, share, training=True)


def keep(features: Tensor, retained: Tensor) -> Tensor:
    """Weigh every place by the share of it that is kept: bool (B, 1, H, W), of any larger size."""
    height, width = features.shape[-2:]
    return features * F.adaptive_avg_pool2d(retained.to(features.dtype), (height, width))


def box_on(membrane: Tensor, *, side: float) -> Tensor:
    """Guided cut-out: False in a box around a random membrane pixel, else True: (B, 1, H, W).

    membrane: bool (B, H, W), where it is predicted; without any the box is anywhere. side: share
    of the image's sides. Membranes are one net, whose bounding box is mostly the whole image: so
    the box lies on a part of them instead of in an object's bounding box.
    """
    height, width = membrane.shape[1:]
    chance = torch.rand(membrane.shape, device=membrane.device) + membrane
    place = chance.flatten(1).argmax(1)
    top, left = (place // width).view(-1, 1, 1), (place % width).view(-1, 1, 1)
    rows = torch.arange(height, device=membrane.device).view(1, -1, 1)
    columns = torch.arange(width, device=membrane.device).view(1, 1, -1)
    within_rows: Tensor = (rows - top).abs() <= side * height / 2
    within_columns: Tensor = (columns - left).abs() <= side * width / 2
    return ~(within_rows & within_columns).unsqueeze(1)


def unit(directions: Tensor) -> Tensor:
    """Return each image's direction, of length 1."""
    length: Tensor = torch.linalg.vector_norm(directions, dim=(1, 2, 3), keepdim=True)
    return directions / length.clamp(min=torch.finfo(directions.dtype).tiny)


def adversarial(
    levels: list[Tensor],
    logits_of: Callable[[list[Tensor]], Tensor],
    *,
    radius: float,
    probe: float,
) -> list[Tensor]:
    """I-VAT: move each level by `radius` to where the prediction changes most.

    One power iteration: the gradient of KL(prediction || prediction at a random step of length
    `probe`) by that step. Neither decoder nor encoder learns from it; levels keep their gradient.
    """
    still = [level.detach() for level in levels]
    with torch.no_grad():
        prediction = logits_of(still).softmax(1)
    with torch.enable_grad():
        steps = [(probe * unit(torch.randn_like(level))).requires_grad_() for level in still]
        moved = logits_of([level + step for level, step in zip(still, steps, strict=True)])
        # the prediction's own entropy is no function of the step
        distance = -(prediction * F.log_softmax(moved, 1)).sum()
        slopes = torch.autograd.grad(distance, steps)
    return [level + radius * unit(slope) for level, slope in zip(levels, slopes, strict=True)]
