"""Who competes: each name's method and options, on the protocol that all of them share."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from models.networks import FEATURED, OF_THE_PAPER, PACKAGED, PAPER, SCRATCH, SMALL, NetworkConfig
from models.pixel_classifier import KINDS
from models.presets import PRESETS, TrainingConfig
from models.semisup.method import Options
from models.semisup.methods import METHODS
from models.study.dataset import DatasetError
from models.study.files import OptionWrong
from models.study.protocol import Protocol

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


STRONG = "-strong"
"""End of the names of methods that see the strong view of labelled images where their authors show
the weak one: the view that supervised learning has here, so that only the method differs."""
CELL_PX = 16
"""Side of the cells that are exchanged: the paper's, at its crops of 256 px in 16 x 16 cells."""
PIXEL_CLASSIFIER = "pixel-classifier"
LITE = NetworkConfig("unet", "tu-tf_efficientnet_lite0", PACKAGED, decoder=(64, 48, 32, 16, 8))
"""A U-Net with a light decoder on the ImageNet encoder that an installed package brings."""
FEATURES = NetworkConfig(FEATURED, encoder_weights=PACKAGED)
"""The small U-Net beside the same encoder's frozen first stages."""
UNSETTLED = {"settled": 0.0, "weak_share": 0.5, "ema_limit": 0.99}
"""What suits `eugmt-plus` there, by Dice on validation groups, one seed, 6,000 passes, DSB / DRIVE
and her2-core1 / her2-eze10 of `benchmarks.own_slide`: these 0.872 / 0.808 and 0.745 / 0.647; strong
views alone 0.745 / 0.636 on the latter, weak ones alone 0.872 / 0.812 on the former. With weak ones
and a consistency from 30 % of the training on, everywhere 0.875 / 0.800, where the selector doubts
0.875 / 0.798. Settled 0.864 on DSB. Of the same network `mean-teacher` has 0.875 / 0.810 and
`supervised` 0.870 / 0.794; the pixel classifier with features has 0.876 / 0.797."""
GENTLE = 1e-3
"""Learning rate of networks that begin with pretrained weights."""


SIMPLE = re.compile(r"[\w][\w.+-]*")
NOT_TURNED = {"preset", "method", "options", "network", "iterations", "seed", "device", "threads"}
"""Fields of TrainingConfig that a study needs for itself."""


@dataclass(frozen=True)
class Contender:
    """A row of a table: a method with its options, on the protocol's network or its own.

    options: the method's; what the protocol shares takes their place. network: its own instead of
    the protocol's, with weights of its own, too. pixels: the kind of a pixel
    classifier, which is no network. switches: options that a variant turns against the protocol,
    changes: fields of TrainingConfig that it sets against it.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = ""
    network: NetworkConfig | None = None
    all_labels: bool = False
    pixels: str = ""
    switches: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, protocol: Protocol, *, steps: int, seed: int, threads: int) -> TrainingConfig:
        """Return the training of this contender under a protocol."""
        if self.pixels:
            return TrainingConfig(
                self.name, self.method, Options(), iterations=0, seed=seed, threads=threads
            )
        options = dict(self.options)
        if protocol.loss != "own":
            options["loss"] = protocol.loss
        if "grid" in options:
            options["grid"] = max(1, protocol.crop // CELL_PX)
        network = self.network or protocol.network
        if self.architecture:
            network = of_architecture(self.architecture, protocol)
        config = TrainingConfig(
            preset=self.name,
            method=self.method,
            options=METHODS[self.method].options(**(options | dict(self.switches))),
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
            compile=protocol.compile,
            precision="bfloat16" if protocol.device.startswith("cuda") else "float32",
        )
        return replace(config, **self.changes)


def of_architecture(name: str, protocol: Protocol) -> NetworkConfig:
    """Return a protocol's network as another architecture, with an encoder that it can have."""
    network = protocol.network
    if network.architecture == name:
        return network
    own = replace(network, architecture=name)
    if name not in OF_THE_PAPER or network.encoder in {SMALL, PAPER}:
        return own
    # pretrained weights are for one encoder, or a folder of them
    folder = Path(network.encoder_weights).is_dir()
    weights = network.encoder_weights if folder else SCRATCH
    return replace(own, encoder=protocol.transformers, encoder_weights=weights)


def of_preset(name: str, *, called: str = "", architecture: str = "") -> Contender:
    """Return a preset's method and options."""
    config = PRESETS[name]
    options = asdict(config.options)
    return Contender(called or name, config.method, options, architecture=architecture)


def contenders() -> dict[str, Contender]:
    """Every name that `--methods` takes."""
    named = {name: Contender(name, name) for name in METHODS if name not in {"eugmt", "supervised"}}
    named |= {name: of_preset(name) for name in ("ucmt", "eugmt-paper", "eugmt-plus")}
    named |= {f"{name}{STRONG}": seeing_strong(each) for name, each in named.items()}
    # labels alone, in the view that suits them better, are nobody's method
    del named[f"eugmt-plus{STRONG}"]
    learning = {"strong_labelled": True}
    named["supervised"] = Contender("supervised", "supervised", learning)
    named["supervised-weak"] = Contender("supervised-weak", "supervised")
    named["supervised-settled"] = settled_alone()
    named["supervised-lite0"] = Contender(
        *("supervised-lite0", "supervised", learning),
        network=LITE,
        changes={"learning_rate": GENTLE},
    )
    for name in ("supervised", "mean-teacher", "eugmt-plus"):
        called = f"{name}-features"
        named[called] = replace(named[name], name=called, network=FEATURES)
    named["eugmt-plus-features"] = replace(
        named["eugmt-plus-features"],
        options={**named["eugmt-plus"].options, **UNSETTLED},
    )
    for kind in KINDS:
        name = f"{PIXEL_CLASSIFIER}-{kind}"
        named[name] = Contender(name, PIXEL_CLASSIFIER, pixels=kind)
    for architecture in SHOWN_ON:
        name = f"eugmt-{architecture}"
        named[name] = of_preset("eugmt-paper", called=name, architecture=architecture)
    named["supervised-100"] = Contender("supervised-100", "supervised", learning, all_labels=True)
    named["deeplabv3plus-100"] = Contender(
        *("deeplabv3plus-100", "supervised", learning),
        architecture="deeplabv3plus",
        all_labels=True,
    )
    for name, (method, options) in FULLY_SUPERVISED.items():
        named[name] = Contender(
            name, method, {**options, **learning}, architecture=name, all_labels=True
        )
    return named


def seeing_strong(contender: Contender) -> Contender:
    """Return a method in the strong view; its teacher's statistics are then its students'.

    In training mode a teacher would know weak views only, and its students' weights fit others.
    """
    options = {**contender.options, "strong_labelled": True}
    if "steady_teacher" in {each.name for each in fields(METHODS[contender.method].options)}:
        options["steady_teacher"] = True
    return replace(contender, name=f"{contender.name}{STRONG}", options=options)


def settled_alone() -> Contender:
    """Return what `eugmt-plus` is without its pseudo-labels: labels, average, whole images."""
    plus = of_preset("eugmt-plus", called="supervised-settled")
    nothing = {"unsupervised_weight": 0.0, "consistency_weight": 0.0}
    return replace(plus, options={**plus.options, **nothing})


def chosen(names: Iterable[str], variants: Path | None = None) -> list[Contender]:
    """Return the contenders of these names, and those of a file of variants. Raises DatasetError.

    A variant is a table of the TOML file: `base` names a contender, every other key changes one
    of its options or a field of TrainingConfig. So each switch can be turned alone.
    """
    known = contenders()
    named = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise OptionWrong(
                "method_unknown", f"There is no method {name}; choose from {', '.join(known)}."
            )
        named.append(known[name])
    if variants:
        try:
            tables = tomllib.loads(variants.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DatasetError("variants_unreadable", f"{variants}: {error}.") from error
        named += [varied(name, table, known) for name, table in tables.items()]
    if not named:
        raise OptionWrong("wrong_option", f"--methods names at least one of {', '.join(known)}.")
    return named


def varied(name: str, table: Mapping[str, Any], known: Mapping[str, Contender]) -> Contender:
    base = known.get(table.get("base", "")) if isinstance(table, dict) else None
    if base is None or base.pixels:
        raise DatasetError("variants_unreadable", f"The variant {name} has no known `base`.")
    if name in known or not SIMPLE.fullmatch(name):
        raise DatasetError(
            "variants_unreadable",
            f"A variant can't be called {name}: it is a method's name, or no name of a folder.",
        )
    changes = {key: value for key, value in table.items() if key != "base"}
    known_switches = {each.name for each in fields(METHODS[base.method].options)}
    rest = {each.name for each in fields(TrainingConfig)}
    if unknown := changes.keys() - known_switches - rest:
        raise DatasetError("switch_unknown", f"{name}: there is no switch {min(unknown)}.")
    of_options = {key: value for key, value in changes.items() if key in known_switches}
    others = {key: value for key, value in changes.items() if key not in known_switches}
    if unstable := others.keys() & NOT_TURNED:
        raise DatasetError("switch_unknown", f"{name}: {min(unstable)} is the command's to say.")
    switches = {**base.switches, **of_options}
    try:
        METHODS[base.method].options(**{**base.options, **switches})
    except (TypeError, ValueError) as error:
        raise DatasetError("switch_unknown", f"{name}: {error}") from error
    return replace(base, name=name, switches=switches, changes={**base.changes, **others})
