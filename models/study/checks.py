"""What can't be trained is said in words before anything is: numbers, names, sizes, devices."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, NoReturn

import torch

from models.acceleration import PRECISIONS
from models.augment import STRONG
from models.networks import OF_THE_PAPER, EncoderUnknown, NetworkConfig, NetworkError, build
from models.prediction import PATCH_PX
from models.presets import TrainingConfig
from models.study.budget import passes_per_step
from models.study.contenders import Contender
from models.study.files import DatasetError, OptionWrong
from models.study.protocol import SCHEDULES, Protocol

SMALLEST_CROP = 16


def check(competing: Iterable[Contender], protocol: Protocol) -> None:
    """Raise DatasetError or NetworkError unless each of them can be trained here.

    Every network is built once, and sees two images of its crop's size.
    """
    check_device(protocol.device)
    check_encoder(protocol.network)
    built: set[tuple[NetworkConfig, int]] = set()
    for contender in competing:
        if contender.pixels:
            continue
        config = contender.config(protocol, steps=1, seed=0, threads=1)
        check_numbers(contender.name, config)
        if contender.switches:
            check_switches(contender.name, config)
        if (config.network, config.crop) not in built:
            built.add((config.network, config.crop))
            check_network(config.network, config.crop)


def check_numbers(name: str, config: TrainingConfig) -> None:
    document = config.document()
    for field, allowed in (
        ("strong", tuple(STRONG)),
        ("schedule", SCHEDULES),
        ("precision", tuple(PRECISIONS)),
    ):
        if document[field] not in allowed:
            known = ", ".join(allowed)
            refuse(f"{name}: {field} is one of {known}, not {document[field]!r}.")
    for field, least in (
        ("batch_labelled", 1),
        ("batch_unlabelled", 1),
        ("crop", SMALLEST_CROP),
        ("warm_up", 0),
    ):
        if not isinstance(document[field], int) or document[field] < least:
            refuse(f"{name}: {field} is a whole number from {least} on, not {document[field]!r}.")
    if not positive(config.learning_rate):
        refuse(f"{name}: a learning rate is a number above 0, not {config.learning_rate!r}.")
    decay = config.weight_decay
    if decay != 0 and not positive(decay):
        refuse(f"{name}: weight_decay is a number from 0 on, not {decay!r}.")
    grid = asdict(config.options).get("grid", 1)
    if not isinstance(grid, int) or grid < 1:
        refuse(f"{name}: grid is a whole number from 1 on, not {grid!r}.")
    if config.crop > PATCH_PX or config.crop % grid:
        refuse(
            f"{name}: crops of {config.crop} px can't be cut from patches of {PATCH_PX} px into "
            f"{grid} cells a side."
        )


def check_switches(name: str, config: TrainingConfig) -> None:
    """Refuse values that a method can't use: its losses are built on a few crops of noise."""
    try:
        passes_per_step(config)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise DatasetError(
            "switch_unusable",
            f"{name} can't be trained with the values of its switches: "
            f"{str(error).splitlines()[0].rstrip('.')}.",
        ) from error


def positive(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def check_encoder(network: NetworkConfig) -> None:
    """Raise NetworkError for an encoder that no network here has; the paper's look themselves."""
    if network.architecture in OF_THE_PAPER or network.encoder == NetworkConfig().encoder:
        return
    import timm
    from segmentation_models_pytorch.encoders import encoders

    of_timm = network.encoder.removeprefix("tu-")
    if network.encoder not in encoders and not timm.is_model(of_timm):
        raise EncoderUnknown(
            "unknown_encoder",
            f"There is no encoder {network.encoder}; segmentation-models-pytorch has resnet18, "
            "resnet50, efficientnet-b0 and others, and timm's with `tu-` before their names.",
        )


def check_network(network: NetworkConfig, crop: int) -> None:
    with torch.random.fork_rng(devices=[]):
        try:
            built = build(network).train()
        except NetworkError:
            raise
        except Exception as error:
            raise NetworkError(
                "network_unbuildable",
                f"{network.architecture} can't be built with the encoder {network.encoder} and "
                f"weights {network.encoder_weights}: {str(error).splitlines()[0]}.",
            ) from error
        try:
            with torch.no_grad():
                built(torch.zeros(2, 3, crop, crop))
        except NetworkError:
            raise
        except (RuntimeError, ValueError) as error:
            raise OptionWrong(
                "wrong_option",
                f"{network.architecture} can't learn from crops of {crop} px: take a multiple of "
                f"32 up to {PATCH_PX}.",
            ) from error


def check_device(device: str) -> None:
    try:
        place = torch.device(device)
    except RuntimeError:
        refuse(f"--device is cpu, cuda or one GPU such as cuda:1, not {device}.")
    if place.type not in {"cpu", "cuda"}:
        refuse(f"--device is cpu, cuda or one GPU such as cuda:1, not {device}.")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise DatasetError(
            "no_gpu",
            f"--device {device}: torch sees {torch.cuda.device_count()} GPUs on this machine.",
        )


def refuse(words: str) -> NoReturn:
    raise OptionWrong("wrong_option", words)
