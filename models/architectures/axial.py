"""Attention along four axes: rows, columns and the two diagonals of a map.

Along a line of L pixels with queries q, keys k, values v and what relative positions add to each,

    y_i = sum_j softmax_j(s (q_i·k_j + q_i·rq_(j-i) + k_j·rk_(j-i))) (v_j + rv_(j-i)),  s = d^-1/2

so a pixel knows how far along the line the other one lies. A diagonal is made a line by shearing:
row i is rotated by i, and what came round from the other side is another diagonal, masked.
"""

from functools import partial

import torch
from torch import Tensor, nn

from models.architectures.config import NetworkError

AXES = ("rows", "columns", "falling", "rising")


class AxialAttention(nn.Module):
    """Self-attention of (B, C, H, W) along the lines of one axis, of `reach` pixels at most.

    The tables begin at 0 and are kept in pixels: on a smaller map their middle is used, and a
    distance that was never seen says nothing.
    """

    def __init__(self, channels: int, axis: str, reach: int, heads: int) -> None:
        super().__init__()
        self.axis, self.reach, self.heads = axis, reach, heads
        self.project = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.tables = nn.Parameter(torch.zeros(3, 2 * reach - 1, channels // heads))

    def forward(self, features: Tensor) -> Tensor:
        projected = self.project(features)
        if self.axis == "rows":
            return self.along(projected, None)
        if self.axis == "columns":
            return self.along(projected.mT, None).mT
        if self.axis == "rising":
            return self.diagonally(projected.flip(3)).flip(3)
        return self.diagonally(projected)

    def diagonally(self, projected: Tensor) -> Tensor:
        height, width = projected.shape[2:]
        rows = torch.arange(height, device=projected.device)
        columns = torch.arange(width, device=projected.device)
        # line c holds at i the pixel (i, (i + c) mod W); each time round is a diagonal of its own
        to = rows + columns[:, None]
        lines = projected[:, :, rows, to % width]
        turns = to // width
        gathered = self.along(lines, turns[:, :, None] == turns[:, None, :])
        back = (columns - rows[:, None]) % width
        return gathered[:, :, back, rows[:, None]]

    def along(self, projected: Tensor, together: Tensor | None) -> Tensor:
        """Attend along the last axis of lines (B, 3C, N, L): (B, C, N, L).

        together: bool (N, L, L), whether two places of a line belong together (None: all do).
        """
        length = projected.shape[3]
        if length > self.reach:
            raise NetworkError(
                "image_size",
                f"This network's positions reach {self.reach} px along a line of {length} px of "
                "one of its maps; it takes images of 256 px and smaller.",
            )
        # (B, heads, d, N, L) each
        shape = (len(projected), 3, self.heads, self.tables.shape[2], *projected.shape[2:])
        query, key, value = projected.view(shape).unbind(1)
        of_query, of_key, of_value = self.positions(length)
        score = torch.einsum("bhdni,bhdnj->bhnij", query, key)
        score = score + torch.einsum("bhdni,idj->bhnij", query, of_query)
        score = score + torch.einsum("bhdnj,idj->bhnij", key, of_key)
        score = score * query.shape[2] ** -0.5
        if together is not None:
            score = score.masked_fill(~together, float("-inf"))
        share = score.softmax(4)
        gathered = torch.einsum("bhnij,bhdnj->bhdni", share, value)
        gathered = gathered + torch.einsum("bhnij,idj->bhdni", share, of_value)
        return gathered.flatten(1, 2)

    def positions(self, length: int) -> Tensor:
        """What offsets j - i add to query, key and value: (3, L, d, L) by kind, i, depth, j."""
        middle = self.tables[:, self.reach - length : self.reach + length - 1]
        # window s of the table is the line as its pixel L - 1 - s sees it
        return middle.unfold(1, length, 1).flip(1)


class FourAxes(nn.Module):
    """The sum of attention along rows, columns and both diagonals, normalised, beside its input."""

    def __init__(self, channels: int, reach: int, heads: int) -> None:
        super().__init__()
        make = partial(AxialAttention, reach=reach, heads=heads)
        self.axes = nn.ModuleList(make(channels, axis) for axis in AXES)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        gathered = torch.stack([axis(features) for axis in self.axes]).sum(0)
        changed: Tensor = features + self.norm(gathered)
        return changed
