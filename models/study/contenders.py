"""Who competes: each name's method and options, and the protocol that all of them share."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from models.networks import OF_THE_PAPER, PAPER, SCRATCH, SMALL, NetworkConfig
from models.presets import PRESETS, TrainingConfig
from models.semisup.methods import METHODS
from models.study.dataset import DatasetError

FULLY_SUPERVISED: dict[str, tuple[str, dict[str, Any]]] = {
    "transunet": ("supervised", {}),
    "swin-unet": ("supervised", {}),
    "transfuse": (
        "deep-supervised",
        {"loss": "structure", "head_weights": (0.5, 0.3, 0.2)},
    ),
    "fafuse": (
        "deep-supervised",
        {"loss": "structure", "head_weights": (0.7, 0.1, 0.2)},
    ),
}
"""Networks that the paper trains on labels alone, contenders of their own name: method, options.
Where the protocol's encoder is another network's, theirs is the small one, from scratch."""

SHOWN_ON = ("deeplabv3plus", "unet")
"""Architectures on which the paper shows EUGMT: contenders of their own beside the protocol's."""

LOSSES = ("dice", "dice+ce", "own")


@dataclass(frozen=True)
class Protocol:
    """What all methods of a table share: network, budget, images a step, optimiser, views.

    passes: image passes of a training. A student's forward and backward of one image is one
    pass, a forward without gradient a third of one.
    loss: of labels and pseudo-labels, for every method (`dice`, `dice+ce`), or `own` for what each
    method's defaults say.
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
    split_seed: int = 0
    device: str = "cpu"

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Contender:
    """A row of a table: a method with its options, on the protocol's network or its own.

    changes: fields of TrainingConfig that this contender sets against the protocol.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = ""
    all_labels: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, protocol: Protocol, *, steps: int, seed: int, threads: int) -> TrainingConfig:
        """Return the training of this contender under a protocol."""
        shared: dict[str, Any] = {}
        if protocol.loss != "own":
            shared = {"loss": protocol.loss, "strong_labelled": True}
        network = protocol.network
        if self.architecture:
            network = of_architecture(self.architecture, network)
        config = TrainingConfig(
            preset=self.name,
            method=self.method,
            options=METHODS[self.method].options(**(shared | dict(self.options))),
            network=network,
            iterations=steps,
            batch_labelled=protocol.batch_labelled,
            batch_unlabelled=protocol.batch_unlabelled,
            crop=protocol.crop,
            learning_rate=protocol.learning_rate,
            schedule=protocol.schedule,
            warm_up=protocol.warm_up,
            strong=protocol.strong,
            seed=seed,
            checkpoint_every=max(25, steps // 10),
            threads=threads,
            device=protocol.device,
            precision="bfloat16" if protocol.device.startswith("cuda") else "float32",
        )
        return replace(config, **self.changes)


def of_architecture(name: str, network: NetworkConfig) -> NetworkConfig:
    """Return a protocol's network as another architecture, with an encoder that it can have."""
    if network.architecture == name:
        return network
    own = replace(network, architecture=name)
    if name not in OF_THE_PAPER or network.encoder in {SMALL, PAPER}:
        return own
    return replace(own, encoder=SMALL, encoder_weights=SCRATCH)


def of_preset(name: str, *, called: str = "", architecture: str = "") -> Contender:
    """Return a preset's method and options; what the protocol shares comes from the protocol."""
    config = PRESETS[name]
    own = asdict(config.options)
    options = {k: own[k] for k in own.keys() - {"loss"}}
    return Contender(called or name, config.method, options, architecture=architecture)


def contenders() -> dict[str, Contender]:
    """Every name that `--methods` takes."""
    named = {name: Contender(name, name) for name in METHODS if name != "eugmt"}
    named |= {name: of_preset(name) for name in ("ucmt", "eugmt-paper", "eugmt-plus")}
    for architecture in SHOWN_ON:
        name = f"eugmt-{architecture}"
        named[name] = of_preset("eugmt-paper", called=name, architecture=architecture)
    named["supervised-100"] = Contender("supervised-100", "supervised", all_labels=True)
    named["deeplabv3plus-100"] = Contender(
        "deeplabv3plus-100", "supervised", architecture="deeplabv3plus", all_labels=True
    )
    for name, (method, options) in FULLY_SUPERVISED.items():
        named[name] = Contender(name, method, options, architecture=name)
    return named


def chosen(names: Iterable[str], variants: Path | None = None) -> list[Contender]:
    """Return the contenders of these names, and those of a file of variants. Raises DatasetError.

    A variant is a table of the TOML file: `base` names a contender, every other key changes one
    of its options or a field of TrainingConfig. So each switch can be turned alone.
    """
    known = contenders()
    found = []
    for name in names:
        if name not in known:
            raise DatasetError(
                "method_unknown", f"There is no method {name}; choose from {', '.join(known)}."
            )
        found.append(known[name])
    if variants:
        try:
            tables = tomllib.loads(variants.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DatasetError("variants_unreadable", f"{variants}: {error}.") from error
        found += [varied(name, table, known) for name, table in tables.items()]
    return found


def varied(name: str, table: Mapping[str, Any], known: Mapping[str, Contender]) -> Contender:
    base = known.get(table.get("base", ""))
    if base is None:
        raise DatasetError("variants_unreadable", f"The variant {name} has no known `base`.")
    changes = {key: value for key, value in table.items() if key != "base"}
    switches = {each.name for each in fields(METHODS[base.method].options)}
    rest = {each.name for each in fields(TrainingConfig)}
    if unknown := changes.keys() - switches - rest:
        raise DatasetError("switch_unknown", f"{name}: there is no switch {min(unknown)}.")
    of_options = {key: value for key, value in changes.items() if key in switches}
    others = {key: value for key, value in changes.items() if key not in switches}
    options = {**base.options, **of_options}
    try:
        METHODS[base.method].options(**options)
    except ValueError as error:
        raise DatasetError("switch_unknown", f"{name}: {error}") from error
    return replace(base, name=name, options=options, changes=others)
