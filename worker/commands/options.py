"""Options that the commands on folders share, and how their errors are told."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from backend.kit.errors import MembranaError

Folder = Annotated[Path, typer.Option(help="Folder of images: PNG, TIFF or JPEG.")]
Masks = Annotated[Path, typer.Option(help="Folder of masks of the same names.")]
Positive = Annotated[
    str, typer.Option(help="The masks' value of what is searched; `any` for all but 0.")
]
Groups = Annotated[
    Path | None,
    typer.Option(help="CSV of file name and patient, slide or block; without it, each image."),
]
Region = Annotated[
    Path | None, typer.Option(help="Folder of masks that are 0 where nothing is known.")
]
Named = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="`small`, for a CPU, or `paper`: UCMT's DeepLabV3+, 256 px, 6 + 6 images, AdamW 1e-4, "
        "Dice, colour views, 50 epochs. The options below change it.",
    ),
]
Passes = Annotated[
    int | None,
    typer.Option(help="Image passes of a training, the same for all methods; small: 6000."),
]
Strong = Annotated[
    str | None,
    typer.Option(help="Strong view: `stain` (small; keeps brown brown) or `colour`."),
]
Network = Annotated[
    str | None, typer.Option(help="unet-small (small), unet, deeplabv3plus, transunet, …")
]
Encoder = Annotated[
    str | None, typer.Option(help="Encoder of unet and deeplabv3plus; resnet50 if left out.")
]
Weights = Annotated[
    str, typer.Option(help="File of the encoder's weights, a folder of such, or `scratch`.")
]
Crop = Annotated[int | None, typer.Option(help="Side of the training crops, px; small: 128.")]
Batch = Annotated[
    int | None, typer.Option(help="Labelled and as many unlabelled images a step; small: 4.")
]
Rate = Annotated[float | None, typer.Option(help="Learning rate; small: 0.002.")]
Schedule = Annotated[
    str | None, typer.Option(help="Of the rate: constant, cosine (small) or poly.")
]
WarmUp = Annotated[int | None, typer.Option(help="Steps in which the rate rises; small: 10.")]
Loss = Annotated[
    str | None, typer.Option(help="`dice`, `dice+ce` (small), or `own`: each method's.")
]
Mpp = Annotated[float | None, typer.Option(help="µm per px of the images: lengths in µm, too.")]
Judge = Annotated[
    str,
    typer.Option(
        help="Whose figures are shown: `test`, or `validation` to choose by, the test unseen."
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Let torch compile the networks, where it finds a C++ compiler. On a CPU it pays in "
        "long trainings of unet-small alone.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, or one GPU such as cuda:1.")]


class Refused(MembranaError):
    status, code, title = 422, "wrong_input", "The input can't be used"


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what the models refuse into the command line's errors."""
    from models.networks import NetworkError
    from models.study.dataset import DatasetError
    from models.training import TrainingDataError

    try:
        yield
    except (DatasetError, NetworkError) as error:
        raise Refused(str(error), code=error.code) from error
    except TrainingDataError as error:
        raise Refused(str(error), code=getattr(error, "code", "training_data")) from error


def protocol_of(
    name: str,
    *,
    network: str | None,
    encoder: str | None,
    encoder_weights: str,
    batch: int | None,
    **choices: Any,
) -> Any:
    """Return the study's protocol; a wrong choice is named before anything is read.

    choices: fields of the protocol, None where it is to stay as the named protocol has it.
    """
    from models.augment import STRONG
    from models.networks import ARCHITECTURES, NetworkConfig, check_encoder_weights
    from models.study.protocol import LOSSES, PROTOCOLS, SCHEDULES

    one_of("protocol", name, PROTOCOLS)
    for option, allowed in (("strong", STRONG), ("loss", LOSSES), ("schedule", SCHEDULES)):
        if choices[option] is not None:
            one_of(option, choices[option], allowed)
    if network is not None:
        one_of("network", network, ARCHITECTURES)
    check_encoder_weights(encoder_weights)
    given = {field: value for field, value in choices.items() if value is not None}
    if batch is not None:
        given |= {"batch_labelled": batch, "batch_unlabelled": batch}
    protocol = PROTOCOLS[name]()
    built = protocol.network
    if network not in {None, built.architecture}:
        built = NetworkConfig(network)
    built = replace(built, encoder=encoder or built.encoder, encoder_weights=encoder_weights)
    return replace(protocol, network=built, **given)


def one_of(option: str, word: str, allowed: Iterable[str]) -> None:
    if word not in allowed:
        raise Refused(
            f"--{option} is one of {', '.join(allowed)}, not {word}.", code="wrong_option"
        )


def folder_of(output: Path) -> Path:
    """Return the folder of -o, made if need be; refused in words where there can be none."""
    return made(output, f"-o is a folder for the results, and {output} can't be one")


def work_beside(output: Path, work: Path) -> Path:
    """Return the folder beside the file of -o for what is unfinished, made if need be.

    Refused in words: in a training's last second it is too late to learn that nothing can be
    written there.
    """
    return made(work, f"-o can't be written to {output}")


def made(folder: Path, refusal: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused(f"{refusal}: {reason}.", code="wrong_option") from error
    return folder


def at_least(least: int, **numbers: int | None) -> None:
    """Refuse a number below `least` by its option's name; None was not given."""
    for name, number in numbers.items():
        if number is not None and number < least:
            option = name.replace("_", "-")
            raise Refused(
                f"--{option} is a whole number from {least} on, not {number}.", code="wrong_option"
            )


def above_zero(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not (math.isfinite(number) and number > 0):
            option = name.replace("_", "-")
            raise Refused(f"--{option} is a number above 0, not {number:g}.", code="wrong_option")


def check_judge(judge: str) -> None:
    one_of("judge", judge, ("test", "validation"))


class ManyWords(TyperCommand):
    """Takes `--labelled 0.02 0.05` for `--labelled 0.02 --labelled 0.05`, as other tools do."""

    MANY = frozenset({"--labelled", "--methods", "--strategies"})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread: list[str] = []
        option = ""
        for word in args:
            if word.startswith("-"):
                option = word if word in self.MANY else ""
            elif option and spread[-1] != option:
                spread.append(option)
            spread.append(word)
        return super().parse_args(ctx, spread)


def words(given: list[str] | None) -> list[str]:
    """Return what was given once or several times, with commas or without."""
    return [word for each in given or [] for word in each.replace(",", " ").split()]


def share_of(word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise Refused(f"--labelled is a share between 0 and 1, not {word}.", code="wrong_option")
    return share
