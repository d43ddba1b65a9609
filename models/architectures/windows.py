"""Shifted-window attention over maps of any size, of timm's parts; tokens are (B, H, W, C)."""

import torch
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from timm.layers.weight_init import trunc_normal_
from timm.models.swin_transformer import WindowAttention, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional as F

PADDING = 9
"""The region of padded tokens; the map's own are 0 to 3."""


class WindowBlock(nn.Module):
    """A transformer block whose tokens attend to those of their window.

    The parameters have the names of timm's `SwinTransformerBlock`, whose weights fit. A map that
    windows do not fill is padded after the shift's rules: padded tokens are seen by none.
    """

    def __init__(
        self, width: int, heads: int, window: int, *, shifted: bool, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window_size=window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.drop_path(self.attend(self.norm1(tokens)))
        changed: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return changed

    def attend(self, tokens: Tensor) -> Tensor:
        """Return what each token gathers from its window."""
        height, width = tokens.shape[1:3]
        size = (self.window, self.window)
        padded = F.pad(tokens, (0, 0, 0, -width % self.window, 0, -height % self.window))
        sides = (padded.shape[1], padded.shape[2])
        # one window over all has no neighbours to exchange with
        shifts = tuple(self.shift if side > self.window else 0 for side in sides)
        moved = padded.roll((-shifts[0], -shifts[1]), (1, 2)) if any(shifts) else padded
        mask = self.mask((height, width), sides, shifts, tokens)
        attended = self.attn(window_partition(moved, size).flatten(1, 2), mask=mask)
        back: Tensor = window_reverse(attended.unflatten(1, size), size, *sides)
        back = back.roll(shifts, (1, 2)) if any(shifts) else back
        return back[:, :height, :width]

    def mask(
        self, shape: tuple[int, int], sides: tuple[int, int], shifts: tuple[int, ...], like: Tensor
    ) -> Tensor | None:
        """Return -inf where two tokens of a window belong to different regions: (windows, N, N)."""
        if shape == sides and not any(shifts):
            return None
        rows, columns = (regions(*each, like) for each in zip(shape, sides, shifts, strict=True))
        region = (2 * rows[:, None] + columns).clamp(max=PADDING)
        parts = window_partition(region[None, :, :, None], (self.window, self.window))
        parts = parts.flatten(1)
        apart = parts[:, None] != parts[:, :, None]
        return torch.zeros_like(apart, dtype=like.dtype).masked_fill(apart, float("-inf"))


def regions(side: int, padded: int, shift: int, like: Tensor) -> Tensor:
    """Tell of each place along a shifted axis: 0 stayed, 1 came round from the start, 9 padding."""
    before = (torch.arange(padded, device=like.device) + shift) % padded
    return torch.where(before >= side, PADDING, (before < shift).long())


def drawn(module: nn.Module) -> None:
    """Draw the weights of linear layers as transformers have them: normal, SD 0.02, no bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def tokens_of(images: Tensor) -> Tensor:
    """(B, H, W, C) of (B, C, H, W)."""
    return images.permute(0, 2, 3, 1)


def images_of(tokens: Tensor) -> Tensor:
    """(B, C, H, W) of (B, H, W, C)."""
    return tokens.permute(0, 3, 1, 2)
