"""Detectors for tests: TorchScript modules with a rule inside, and cards beside them."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

CARD = {"name": "blue-peaks", "kind": "torchscript", "mpp": 0.5, "licence": "Apache-2.0"}


def peaks(dark: Tensor, top: float, edge: float) -> Tensor:
    """Label each peak above `top` with what is above `edge` within 7 px: nuclei, cells."""
    peak = (dark == nn.functional.max_pool2d(dark, 15, stride=1, padding=7)) & (dark > top)
    count = int(peak.sum())
    labels = torch.zeros_like(dark)
    labels[peak] = torch.arange(1, count + 1, dtype=dark.dtype)
    for _ in range(7):
        grown = nn.functional.max_pool2d(labels, 3, stride=1, padding=1)
        labels = torch.where((labels == 0) & (dark > edge), grown, labels)
    return torch.cat([labels, labels + 1], dim=1)


class BluePeaks(nn.Module):
    """A label map by rule: what is dark in red belongs to its nearest peak.

    As InstanSeg does, it takes normalised float32 (1, 3, H, W) and answers (1, 2, H, W).
    """

    def forward(self, image: Tensor) -> Tensor:
        return peaks(nn.functional.avg_pool2d(1 - image[:, :1], 7, stride=1, padding=3), 0.35, 0.25)


class BluerThanRed(nn.Module):
    """A rule that no brown membrane misleads; of pixels as they are, `percentiles=None`."""

    def forward(self, image: Tensor) -> Tensor:
        blue = (image[:, 2:] - image[:, :1]) / 255
        return peaks(nn.functional.avg_pool2d(blue, 7, stride=1, padding=3), 0.1, 0.08)


class Halves(nn.Module):
    """No label map: numbers between the whole ones."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1] * 0 + 0.5


class Smaller(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1, ::2, ::2]


def mount(folder: Path, module: nn.Module | None = None, **card: Any) -> Path:
    """Write a module as TorchScript with its card; return the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nuclei.pt"
    torch.jit.script(module or BluePeaks()).save(str(path))
    (folder / "nuclei.json").write_text(json.dumps(CARD | card))
    return path
