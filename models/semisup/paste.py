"""Boxes of one image pasted into another: CutMix and bidirectional copy-paste.

All is drawn from torch's global generator on the device where it is used: nothing is read back.
"""

import math

import torch
from torch import Tensor

LOWEST_RATIO, HIGHEST_RATIO = 0.5, 2.0
"""A cut box's height to its width."""


def boxes(heights: Tensor, widths: Tensor, like: Tensor) -> Tensor:
    """Return a mask a box, at a uniformly drawn place: bool (B, H, W), True inside.

    heights, widths: float (B,), shares of the sides of `like` (B, ..., H, W).
    """
    rows = line(heights, like.shape[-2])
    columns = line(widths, like.shape[-1])
    return rows.unsqueeze(2) & columns.unsqueeze(1)


def line(shares: Tensor, side: int) -> Tensor:
    """Return a mask a stretch of that share of a side, of whole pixels: bool (B, side)."""
    length = (shares * side).round().clamp(1, side).unsqueeze(1)
    start = (torch.rand_like(length) * (side - length + 1)).floor()
    place = torch.arange(side, device=shares.device)
    return (place >= start) & (place < start + length)


def cut_boxes(like: Tensor, *, smallest: float, largest: float) -> Tensor:
    """Draw a box for each image, of between these shares of its area and any usual shape.

    `largest` is at most 0.5, so that a box of any shape fits in. Bool (B, H, W).
    """
    low, high = math.log(LOWEST_RATIO), math.log(HIGHEST_RATIO)
    draw = torch.rand(2, len(like), device=like.device)
    area = smallest + (largest - smallest) * draw[0]
    ratio = torch.exp(low + (high - low) * draw[1])
    return boxes((area * ratio).sqrt(), (area / ratio).sqrt(), like)


def partners(like: Tensor) -> Tensor:
    """Return each image's partner, another one where there are two: int64 (B,), one cycle."""
    order = torch.randperm(len(like), device=like.device)
    return torch.empty_like(order).scatter_(0, order, order.roll(1))


def paste(inside: Tensor, outside: Tensor, box: Tensor) -> Tensor:
    """Take `inside` in the box and `outside` beyond: images (B, C, H, W) or maps (B, H, W)."""
    return torch.where(box.unsqueeze(1) if inside.ndim == 4 else box, inside, outside)
