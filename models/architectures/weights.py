"""Pretrained weights from local files: found for each part of an encoder, fitted and loaded."""

from pathlib import Path

from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from models.networks.config import SCRATCH, NetworkError
from models.networks.weights import check_encoder_weights, read_weights, weights_file

State = dict[str, Tensor]


def states(choice: str, parts: list[str]) -> list[State] | None:
    """Read the weights of each named part of an encoder; None for `scratch`.

    choice: a file, if there is one part, or a folder that holds a file named after each part.
    """
    if choice == SCRATCH:
        return None
    check_encoder_weights(choice)
    if len(parts) > 1 and not Path(choice).is_dir():
        raise NetworkError(
            "encoder_weights_mismatch",
            f"The encoder has the parts {' and '.join(parts)}, and {choice} is one file. Name a "
            f"folder that holds {parts[0]}.safetensors and so on.",
        )
    return [read_weights(weights_file(choice, part)) for part in parts]


def fill(module: nn.Module, state: State, *, name: str, optional: tuple[str, ...] = ()) -> None:
    """Load a module's weights from a state that may hold more.

    optional: beginnings of names that may be absent; those weights stay as they were drawn.
    Raises NetworkError `encoder_weights_mismatch` where others are absent or have another shape.
    """
    own = module.state_dict()
    wanted = [
        key for key in own if not key.startswith(optional or "\0") and "num_batches" not in key
    ]
    wrong = [key for key in wanted if key not in state or state[key].shape != own[key].shape]
    if wrong:
        raise NetworkError(
            "encoder_weights_mismatch",
            f"The weights are of another encoder than {name}: {len(wrong)} of {len(wanted)} "
            f"tensors are absent or of another shape, such as {wrong[0]}.",
        )
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    module.load_state_dict(fitting, strict=False)


def with_positions(state: State, grid: tuple[int, int], prefix_tokens: int) -> State:
    """Return a vision transformer's state, its positions (1, P+N, D) resampled to a grid."""
    if "pos_embed" not in state:
        return state
    table = resample_abs_pos_embed(
        state["pos_embed"], new_size=list(grid), num_prefix_tokens=prefix_tokens
    )
    return state | {"pos_embed": table}
