"""Networks: built by name, saved as one safetensors file that says what it is."""

from models.architectures.config import (
    ARCHITECTURES,
    CLASSES,
    FEATURED,
    OF_THE_PAPER,
    PACKAGED,
    PAPER,
    SCRATCH,
    SMALL,
    EncoderUnknown,
    NetworkConfig,
    NetworkError,
)
from models.architectures.small_unet import Block, SmallUNet
from models.architectures.weights import check_encoder_weights, read_weights, weights_file
from models.networks.build import build, classify, decode, encode, merge, place
from models.networks.ensemble import (
    Ensemble,
    load_ensemble,
    save_ensemble,
    save_with_threshold,
    threshold_of,
)

__all__ = [
    "ARCHITECTURES",
    "CLASSES",
    "FEATURED",
    "OF_THE_PAPER",
    "PACKAGED",
    "PAPER",
    "SCRATCH",
    "SMALL",
    "Block",
    "EncoderUnknown",
    "Ensemble",
    "NetworkConfig",
    "NetworkError",
    "SmallUNet",
    "build",
    "check_encoder_weights",
    "classify",
    "decode",
    "encode",
    "load_ensemble",
    "merge",
    "place",
    "read_weights",
    "save_ensemble",
    "save_with_threshold",
    "threshold_of",
    "weights_file",
]
