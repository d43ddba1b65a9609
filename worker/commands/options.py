"""Options that the commands on folders share, and how their errors are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from backend.errors import MembranaError

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
Passes = Annotated[int, typer.Option(help="Image passes of a training, the same for all methods.")]
Strong = Annotated[str, typer.Option(help="Strong view: `stain` (keeps brown brown) or `colour`.")]
Network = Annotated[str, typer.Option(help="unet-small, unet, deeplabv3plus, …")]
Encoder = Annotated[str, typer.Option(help="Encoder of unet and deeplabv3plus.")]
Weights = Annotated[str, typer.Option(help="File of the encoder's weights, or `scratch`.")]
Crop = Annotated[int, typer.Option(help="Side of the training crops, px.")]
Batch = Annotated[int, typer.Option(help="Labelled and as many unlabelled images a step.")]
Rate = Annotated[float, typer.Option(help="Learning rate.")]
Loss = Annotated[str, typer.Option(help="`dice`, `dice+ce`, or `own`: each method's.")]
Mpp = Annotated[
    float | None, typer.Option(help="µm per px of the images: lengths in µm, too.", min=0.001)
]
Judge = Annotated[
    str,
    typer.Option(
        help="Whose figures are shown: `test`, or `validation` to choose by, the test unseen."
    ),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


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
        raise Refused(str(error), code="training_data") from error


def protocol_of(**choices: Any) -> Any:
    """Return the study's protocol; a wrong choice is named before anything is read."""
    from models.augment import STRONG
    from models.networks import ARCHITECTURES, NetworkConfig, check_encoder_weights
    from models.study.protocol import LOSSES, Protocol

    for option, allowed in (
        ("strong", tuple(STRONG)),
        ("loss", LOSSES),
        ("network", ARCHITECTURES),
    ):
        if choices[option] not in allowed:
            raise Refused(
                f"--{option} is one of {', '.join(allowed)}, not {choices[option]}.",
                code="wrong_option",
            )
    check_encoder_weights(choices["encoder_weights"])
    network = NetworkConfig(
        choices.pop("network"), choices.pop("encoder"), choices.pop("encoder_weights")
    )
    batch = choices.pop("batch")
    return Protocol(network=network, batch_labelled=batch, batch_unlabelled=batch, **choices)


def check_judge(judge: str) -> None:
    if judge not in {"test", "validation"}:
        raise Refused(f"--judge is test or validation, not {judge}.", code="wrong_option")


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
