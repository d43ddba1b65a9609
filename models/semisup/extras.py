"""What is trained beside a network and left out of the model: critics, projectors, memories."""

from torch import nn

from models.networks import place


def placed_like(module: nn.Module, network: nn.Module) -> nn.Module:
    """Return a module in training mode, placed as a network is and in its number format."""
    weight = next(network.parameters())
    return place(module.to(weight.dtype), str(weight.device)).train()
