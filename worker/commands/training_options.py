"""What `train` and `benchmark` share: the folders they learn from, and the protocol they train by.

Declared once: an option that is added here is an option of both.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from worker.commands.option_groups import Group
from worker.commands.options import above_zero, at_least, one_of

if TYPE_CHECKING:
    from models.study.dataset import Dataset
    from models.study.protocol import Protocol

SMALL, SCRATCH = "small", "scratch"
"""A protocol's name and a network's beginning, without loading torch to say them."""


@dataclass(frozen=True)
class Folders(Group):
    """A set of images with masks, and how they are read."""

    panel: ClassVar[str] = "Images and masks"

    images: Annotated[Path, typer.Option(help="Folder of images: PNG, TIFF or JPEG.")]
    masks: Annotated[Path, typer.Option(help="Folder of masks of the same names.")]
    positive: Annotated[
        str, typer.Option(help="The masks' value of what is searched; `any` for all but 0.")
    ] = "255"
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV of file name and patient, slide or block; without it, each image."),
    ] = None
    region: Annotated[
        Path | None, typer.Option(help="Folder of masks that are 0 where nothing is known.")
    ] = None
    mpp: Annotated[
        float | None, typer.Option(help="µm per px of the images: lengths in µm, too.")
    ] = None

    def check(self) -> None:
        """Refuse numbers that can't be meant, before anything is read."""
        above_zero(mpp=self.mpp)

    def read(self, name: str = "", parts: Path | None = None) -> "Dataset":
        """Read and cut the set, its parts drawn or of a table. Raises DatasetError."""
        from models.study import dataset
        from worker.commands.training_images import pixels_of

        return dataset.read(
            self.images,
            self.masks,
            positive=self.positive,
            groups=self.groups,
            region=self.region,
            name=name,
            mpp=self.mpp,
            part_table=parts,
            pixels_of=pixels_of,
        )


@dataclass(frozen=True)
class ProtocolOptions(Group):
    """A protocol by name, and what of it is to be otherwise: None is as the protocol has it."""

    panel: ClassVar[str] = "Protocol"

    protocol: Annotated[
        str,
        typer.Option(
            help="`small`, for a CPU, or `paper`: UCMT's DeepLabV3+, 256 px, 6 + 6 images, AdamW "
            "1e-4, Dice, colour views, 50 epochs. The other options here change it."
        ),
    ] = SMALL
    passes: Annotated[
        int | None,
        typer.Option(
            "--passes",
            "--budget",
            help="Image passes of a training, the same for all methods; small: 6000.",
        ),
    ] = None
    strong: Annotated[
        str | None,
        typer.Option(help="Strong view: `stain` (small; keeps brown brown) or `colour`."),
    ] = None
    network: Annotated[
        str | None, typer.Option(help="unet-small (small), unet, deeplabv3plus, transunet, …")
    ] = None
    encoder: Annotated[
        str | None, typer.Option(help="Encoder of unet and deeplabv3plus; resnet50 if left out.")
    ] = None
    encoder_weights: Annotated[
        str, typer.Option(help="File of the encoder's weights, a folder of such, or `scratch`.")
    ] = SCRATCH
    crop: Annotated[
        int | None, typer.Option(help="Side of the training crops, px; small: 128.")
    ] = None
    batch: Annotated[
        int | None, typer.Option(help="Labelled and as many unlabelled images a step; small: 4.")
    ] = None
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate; small: 0.002.")] = None
    schedule: Annotated[
        str | None, typer.Option(help="Of the rate: constant, cosine (small) or poly.")
    ] = None
    warm_up: Annotated[
        int | None, typer.Option(help="Steps in which the rate rises; small: 10.")
    ] = None
    loss: Annotated[
        str | None, typer.Option(help="`dice`, `dice+ce` (small), or `own`: each method's.")
    ] = None
    device: Annotated[str, typer.Option(help="cpu, cuda, or one GPU such as cuda:1.")] = "cpu"
    compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Let torch compile the networks, where it finds a C++ compiler. On a CPU it pays "
            "in long trainings of unet-small alone.",
        ),
    ] = False

    @property
    def names_a_network(self) -> bool:
        """Whether any word here says which network is trained, or from which weights."""
        asked = (self.network, self.encoder)
        return self.protocol != SMALL or any(asked) or self.encoder_weights != SCRATCH

    def check(self) -> None:
        """Refuse numbers that can't be meant, before torch is loaded."""
        at_least(1, passes=self.passes, batch=self.batch, crop=self.crop)
        at_least(0, warm_up=self.warm_up)
        above_zero(learning_rate=self.learning_rate)

    def chosen(self) -> "Protocol":
        """Return the study's protocol; a wrong choice is named before anything is read."""
        from models.augment import STRONG
        from models.networks import ARCHITECTURES, NetworkConfig, check_encoder_weights
        from models.study.protocol import LOSSES, PROTOCOLS, SCHEDULES

        one_of("protocol", self.protocol, PROTOCOLS)
        for option, word, allowed in (
            ("strong", self.strong, STRONG),
            ("loss", self.loss, LOSSES),
            ("schedule", self.schedule, SCHEDULES),
            ("network", self.network, ARCHITECTURES),
        ):
            if word is not None:
                one_of(option, word, allowed)
        check_encoder_weights(self.encoder_weights)
        protocol = PROTOCOLS[self.protocol]()
        network = protocol.network
        if self.network not in {None, network.architecture}:
            network = NetworkConfig(self.network)
        network = replace(
            network,
            encoder=self.encoder or network.encoder,
            encoder_weights=self.encoder_weights,
        )
        return replace(protocol, network=network, **self.changes())

    def changes(self) -> dict[str, Any]:
        """Return the protocol's fields that options set."""
        given = {
            "passes": self.passes,
            "strong": self.strong,
            "crop": self.crop,
            "batch_labelled": self.batch,
            "batch_unlabelled": self.batch,
            "learning_rate": self.learning_rate,
            "schedule": self.schedule,
            "warm_up": self.warm_up,
            "loss": self.loss,
            "device": self.device,
            "compile": self.compile,
        }
        return {field: value for field, value in given.items() if value is not None}
