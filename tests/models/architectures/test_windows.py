"""Window attention: timm's where windows fill the map, and nothing seen of padding elsewhere."""

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock

from models.architectures.windows import WindowBlock


def block(shifted, window=4, width=12):
    torch.manual_seed(2)
    made = WindowBlock(width, 3, window, shifted=shifted).eval()
    torch.nn.init.normal_(made.attn.relative_position_bias_table)
    return made


@pytest.mark.parametrize("shifted", [False, True])
def test_windows_that_fill_a_map_are_those_of_timm(shifted):
    ours = block(shifted)
    theirs = SwinTransformerBlock(12, (8, 12), 3, window_size=4, shift_size=2 * shifted).eval()
    theirs.load_state_dict(ours.state_dict())
    tokens = torch.randn(2, 8, 12, 12)
    with torch.inference_mode():
        assert torch.allclose(ours(tokens), theirs(tokens), atol=1e-5)


def seen_from(made, height, width, place):
    """Which tokens a token's output depends on."""
    tokens = torch.randn(1, height, width, 12, requires_grad=True)
    made(tokens)[0, place[0], place[1]].sum().backward()
    return tokens.grad[0].abs().sum(2) > 0


def test_a_shifted_window_does_not_reach_round_the_border():
    seen = seen_from(block(shifted=True), 8, 8, (0, 0))
    assert seen[:2, :2].all()
    assert seen.sum() == 4
    seen = seen_from(block(shifted=True), 8, 8, (4, 3))
    assert seen[2:6, 2:6].all()
    assert seen.sum() == 16


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("side", [2, 3, 6])
def test_padding_has_no_share_of_what_a_token_gathers(shifted, side):
    """Padded tokens have the value 0, so with a value of 1 everywhere else a share would show."""
    made = block(shifted)
    with torch.no_grad():
        made.attn.qkv.weight[24:] = 0.0
        made.attn.proj.weight.copy_(torch.eye(12))
        made.attn.proj.bias.zero_()
        # a value of 1 from a constant channel, which padding lacks
        made.attn.qkv.weight[24:, 0] = 1.0
        made.attn.qkv.bias[24:] = 0.0
        tokens = torch.randn(1, side, side, 12)
        tokens[..., 0] = 1.0
        assert torch.allclose(made.attend(tokens), torch.ones(1, side, side, 12), atol=1e-5)


def test_a_map_smaller_than_a_window_uses_the_middle_of_the_table():
    wide, narrow = block(shifted=False), block(shifted=True, window=2)
    state = wide.state_dict()
    table = state["attn.relative_position_bias_table"].view(7, 7, 3)
    state["attn.relative_position_bias_table"] = table[2:5, 2:5].reshape(9, 3)
    narrow.load_state_dict(state)
    tokens = torch.randn(2, 2, 2, 12)
    with torch.inference_mode():
        assert torch.allclose(wide(tokens), narrow(tokens), atol=1e-5)
