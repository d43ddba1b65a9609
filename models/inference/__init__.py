"""Trained networks as predictors: two backends behind one shape, and what can be built on them."""

from models.inference.torch_backend import TorchPredictor

__all__ = ["TorchPredictor"]
