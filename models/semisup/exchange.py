"""UMIX, the patch exchange: where two maps are least sure goes what the other is surest of."""

import torch
from torch import Tensor


def cell_means(entropy: Tensor, grid: int) -> Tensor:
    """Mean entropy of each cell of a grid x grid raster: (B, H, W) -> (B, grid * grid)."""
    rows, columns = entropy.shape[-2] // grid, entropy.shape[-1] // grid
    cells = entropy.reshape(-1, grid, rows, grid, columns)
    return cells.mean((2, 4)).flatten(1)


def sources(entropy_1: Tensor, entropy_2: Tensor, *, count: int, grid: int) -> Tensor:
    """Where each cell's content comes from: int64 (B, grid * grid) (eugmt.md §1.2, step 9).

    The `count` most uncertain cells of map 1 take the most certain of map 2, then those of map 2
    the most certain of map 1; where both want a cell the second wins.
    """
    maps = [cell_means(entropy, grid) for entropy in (entropy_1, entropy_2)]
    worst = [cells.topk(count, largest=True).indices for cells in maps]
    # both lists run from higher to lower entropy and are matched by position
    best = [cells.topk(count, largest=False).indices.flip(1) for cells in maps]
    index = torch.arange(grid * grid, device=entropy_1.device).repeat(len(entropy_1), 1)
    index = index.scatter(1, worst[0], best[1])
    return index.scatter(1, worst[1], best[0])


def exchange(images: Tensor, index: Tensor, *, grid: int) -> Tensor:
    """Gather cells by `sources`: images (B, C, H, W) or labels (B, H, W), any type."""
    maps = images if images.ndim == 4 else images.unsqueeze(1)
    batch, channels, height, width = maps.shape
    rows, columns = height // grid, width // grid
    cells = maps.reshape(batch, channels, grid, rows, grid, columns)
    cells = cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, grid * grid, -1)
    moved = cells.gather(1, index.unsqueeze(-1).expand_as(cells))
    moved = moved.reshape(batch, grid, grid, channels, rows, columns)
    moved = moved.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, height, width)
    return moved if images.ndim == 4 else moved.squeeze(1)
