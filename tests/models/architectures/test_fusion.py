"""TransFuse's fusion, term by term against loops and hand-made numbers."""

import torch
from torch.nn import functional as F

from models.architectures.fusion import Attended, BiFusion, Bilinear, ChannelGate, SpatialGate


def maps(g=3, t=5, side=4):
    torch.manual_seed(1)
    return torch.randn(2, g, side, side).double(), torch.randn(2, t, side, side).double()


def plain(module):
    """In evaluation mode batch norm is a division by sqrt(1 + eps)."""
    return module.double().eval(), (1 + 1e-5) ** -0.5


def test_the_bilinear_term_is_a_product_of_weighted_sums():
    module, norm = plain(Bilinear(3, 5, 4))
    g, t = maps()
    of_g, of_t = module.of_g[0].weight[:, :, 0, 0], module.of_t[0].weight[:, :, 0, 0]
    product = torch.zeros(2, 4, 4, 4).double()
    for b in range(2):
        for i in range(4):
            for j in range(4):
                for c in range(4):
                    left = sum(of_g[c, k] * g[b, k, i, j] for k in range(3)) * norm
                    right = sum(of_t[c, k] * t[b, k, i, j] for k in range(5)) * norm
                    product[b, c, i, j] = left * right
    expected = F.relu(F.conv2d(product, module.mix[0].weight, padding=1) * norm)
    with torch.no_grad():
        assert torch.allclose(module(g, t), expected)


def test_a_channel_is_weighed_as_a_whole():
    module, _ = plain(ChannelGate(5))
    _, t = maps()
    with torch.no_grad():
        ratio = module(t) / t
        means = t.mean((2, 3))
        first, _, last = module.gate
        inner = F.relu(means @ first.weight[:, :, 0, 0].T + first.bias)
        expected = torch.sigmoid(inner @ last.weight[:, :, 0, 0].T + last.bias)
    assert torch.allclose(ratio, expected[:, :, None, None].expand_as(ratio))


def test_a_place_is_weighed_in_all_channels_alike():
    module, norm = plain(SpatialGate())
    g, _ = maps()
    with torch.no_grad():
        ratio = module(g) / g
        seen = torch.stack([g.max(1).values, g.sum(1) / 3], 1)
        expected = torch.sigmoid(F.conv2d(seen, module.gate[0].weight, padding=3) * norm)
    assert torch.allclose(ratio, expected.expand_as(ratio))


def test_the_fusion_is_the_residual_of_its_three_terms():
    module, _ = plain(BiFusion(3, 5, 4, 16))
    g, t = maps()
    with torch.no_grad():
        terms = torch.cat([module.bilinear(g, t), module.of_t(t), module.of_g(g)], 1)
        assert torch.equal(module(g, t), module.residual(terms))
        assert module(g, t).shape == (2, 4, 4, 4)


def test_a_closed_gate_keeps_the_skip_out():
    module, _ = plain(Attended(5, 3, 4))
    g, _ = maps(side=8)
    _, t = maps()
    with torch.no_grad():
        assert not torch.allclose(module(t, g), module(t, 2 * g))
        module.psi[1].bias.fill_(-100.0)
        assert torch.allclose(module(t, g), module(t, 2 * g))
