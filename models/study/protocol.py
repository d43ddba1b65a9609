"""What all methods of a table share, so that only the method differs."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from models.networks import PAPER, SMALL, NetworkConfig
from models.presets import PRESETS
from models.semisup.schedules import DECAYS
from models.study.budget import passes_per_step
from models.study.stopping import LAST, VALIDATION

LOSSES = ("dice", "dice+ce", "own")
SCHEDULES = ("constant", *DECAYS)


@dataclass(frozen=True)
class Protocol:
    """Network, budget, images a step, optimiser, views and loss of every training of a study.

    passes: image passes of a training. A student's forward and backward of one image is one
    pass, a forward without gradient a third of one.
    loss: of labels and pseudo-labels, for every method (`dice`, `dice+ce`), or `own` for what each
    method's defaults say.
    transformers: encoder of the paper's fully supervised networks, where `network` is another.
    stopping: what decides which weights of a training are judged, and at which threshold:
    `validation`, or the `last` ones at 0.5.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    passes: int = 6_000
    batch_labelled: int = 4
    batch_unlabelled: int = 4
    crop: int = 128
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warm_up: int = 10
    strong: str = "stain"
    loss: str = "dice+ce"
    transformers: str = SMALL
    stopping: str = VALIDATION
    split_seed: int = 0
    device: str = "cpu"
    compile: bool = False

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document


def of_the_paper() -> Protocol:
    """Return the setting of the paper, of its preset: as many passes as its method makes of it."""
    config = PRESETS["eugmt-paper"]
    return Protocol(
        network=config.network,
        passes=math.ceil(config.iterations * passes_per_step(config)),
        batch_labelled=config.batch_labelled,
        batch_unlabelled=config.batch_unlabelled,
        crop=config.crop,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        warm_up=config.warm_up,
        strong=config.strong,
        loss=config.options.loss,
        transformers=PAPER,
    )


PROTOCOLS: dict[str, Callable[[], Protocol]] = {"small": Protocol, "paper": of_the_paper}
"""By name: one that two CPU cores train in minutes, and the paper's."""


def whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol's document with what it had no word for: files older than a field."""
    standard = Protocol().document() | {"stopping": LAST}
    network = standard["network"] | document.get("network", {})
    return standard | dict(document) | {"network": network}
