"""Attention along four axes against a loop over pairs of pixels."""

import pytest
import torch

from models.architectures.axial import AXES, AxialAttention, FourAxes
from models.networks import NetworkError

REACH = 6
LINES = {
    # what two pixels (row, column) of one line have in common, and their place along it
    "rows": (lambda i, j: i, lambda i, j: j),
    "columns": (lambda i, j: j, lambda i, j: i),
    "falling": (lambda i, j: j - i, lambda i, j: i),
    "rising": (lambda i, j: i + j, lambda i, j: i),
}


def attention(axis, channels=4, heads=2):
    torch.manual_seed(3)
    module = AxialAttention(channels, axis, REACH, heads).double()
    torch.nn.init.normal_(module.tables)
    return module


def by_loops(module, features):
    """One pixel, one head at a time."""
    batch, channels, height, width = features.shape
    line, place = LINES[module.axis]
    depth = channels // module.heads
    query, key, value = (
        module.project(features).view(batch, 3, module.heads, depth, height, width).unbind(1)
    )
    of_query, of_key, of_value = module.tables
    pixels = [(i, j) for i in range(height) for j in range(width)]
    found = torch.zeros_like(features).view(batch, module.heads, depth, height, width)
    for b in range(batch):
        for h in range(module.heads):
            for i, j in pixels:
                others = [pixel for pixel in pixels if line(*pixel) == line(i, j)]
                scores, values = [], []
                for m, n in others:
                    far = place(m, n) - place(i, j) + REACH - 1
                    q, k = query[b, h, :, i, j], key[b, h, :, m, n]
                    scores.append((q @ k + q @ of_query[far] + k @ of_key[far]) / depth**0.5)
                    values.append(value[b, h, :, m, n] + of_value[far])
                share = torch.stack(scores).softmax(0)
                found[b, h, :, i, j] = share @ torch.stack(values)
    return found.view_as(features)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("shape", [(5, 5), (3, 6), (6, 4)])
def test_each_axis_is_a_loop_over_its_lines(axis, shape):
    module = attention(axis)
    features = torch.randn(2, 4, *shape, dtype=torch.double)
    with torch.no_grad():
        assert torch.allclose(module(features), by_loops(module, features), atol=1e-12)


@pytest.mark.parametrize("axis", ["falling", "rising"])
def test_a_diagonal_ends_at_the_border(axis):
    """Sheared rows come round, but what came round is not seen."""
    features = torch.randn(1, 4, 5, 5, dtype=torch.double, requires_grad=True)
    attention(axis)(features)[0, :, 1, 1].sum().backward()
    seen = features.grad[0].abs().sum(0) > 0
    line, _ = LINES[axis]
    expected = [[line(i, j) == line(1, 1) for j in range(5)] for i in range(5)]
    assert seen.tolist() == expected


def test_a_line_longer_than_the_tables_is_refused():
    with pytest.raises(NetworkError, match="256 px") as caught:
        attention("rows")(torch.randn(1, 4, 2, REACH + 1, dtype=torch.double))
    assert caught.value.code == "image_size"


def test_four_axes_are_added_up_beside_the_input():
    torch.manual_seed(0)
    module = FourAxes(4, REACH, 2).double().eval()
    features = torch.randn(2, 4, 5, 5, dtype=torch.double)
    with torch.no_grad():
        total = sum(axis(features) for axis in module.axes)
        expected = features + total / (1 + module.norm.eps) ** 0.5
        assert torch.allclose(module(features), expected)


@pytest.mark.parametrize("axis", AXES)
def test_gradients_are_those_of_differences(axis):
    module = attention(axis, channels=2, heads=1)
    features = torch.randn(1, 2, 3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(module, (features,))
    assert torch.autograd.gradcheck(
        lambda tables: torch.func.functional_call(module, {"tables": tables}, (features,)),
        (module.tables.detach().requires_grad_(),),
    )
