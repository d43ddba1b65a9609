"""A small network that draws two maps of nuclei: where one's middle is, and what lies inside one.

Half the resolution is left at the first step and most work is done at 2 and 4 µm per pixel: a
million cells must take no longer than with a rule. 635,000 numbers.
"""

from torch import Tensor, nn
from torch.nn import functional

from models.nuclei.graph import BLOCKS, WIDTHS

CENTRE, INSIDE = range(2)


def _layer(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()
    )


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _layer(width, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = functional.relu(x + self.norm(self.second(self.first(x))))
        return out


class NucleusMaps(nn.Module):
    """RGB uint8 (B, H, W, 3) at 0.5 µm per pixel to logits float32 (B, 2, H, W): CENTRE, INSIDE.

    H and W are multiples of 16. models.nuclei.graph is the same for inference.
    """

    def __init__(self) -> None:
        super().__init__()
        finest, fine, coarse, coarsest = WIDTHS

        def stage(inner: int, outer: int, blocks: int) -> nn.Sequential:
            return nn.Sequential(_layer(inner, outer, 2), *(_Block(outer) for _ in range(blocks)))

        self.stem = _layer(12, finest)
        self.down = nn.ModuleList(
            stage(inner, outer, blocks)
            for inner, outer, blocks in zip(WIDTHS[:-1], WIDTHS[1:], BLOCKS, strict=True)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(inner, outer, 1)
            for inner, outer in ((coarsest, coarse), (coarse, fine), (fine, finest))
        )
        self.up = nn.ModuleList([_layer(coarse, coarse), _layer(fine, fine)])
        self.head = nn.Conv2d(finest, 8, 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).float() / 255
        levels = [self.stem(functional.pixel_unshuffle(pixels, 2))]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        x = levels.pop()
        for narrow, layer in zip(self.narrow, [*self.up, functional.relu], strict=True):
            wider = functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = layer(levels.pop() + wider)
        return functional.pixel_shuffle(self.head(x), 2)
