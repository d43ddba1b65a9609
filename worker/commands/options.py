"""Options that the commands on folders share, and how their errors are told."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from backend.kit.errors import WRONG_USE, MembranaError
from backend.kit.storage.whole_files import whole_path

Judge = Annotated[
    str,
    typer.Option(
        help="Whose figures are shown: `test`, or `validation` to choose by, the test unseen."
    ),
]


class Refused(MembranaError):
    status, code, title = 422, "wrong_input", "The input can't be used"


class OptionRefused(Refused):
    """What was typed can't be meant, or does not fit together: nothing was begun."""

    code, exit_status = "wrong_option", WRONG_USE


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what the models refuse into the command line's errors, which know an exit status."""
    from models.networks import EncoderUnknown, NetworkError
    from models.study.dataset import DatasetError
    from models.study.files import OptionWrong
    from models.training import TrainingDataError

    try:
        yield
    except (OptionWrong, EncoderUnknown) as error:
        raise OptionRefused(str(error), code=error.code) from error
    except (DatasetError, NetworkError) as error:
        raise Refused(str(error), code=error.code) from error
    except TrainingDataError as error:
        raise Refused(str(error), code=getattr(error, "code", "training_data")) from error


def one_of(option: str, word: str, allowed: Iterable[str]) -> None:
    if word not in allowed:
        raise OptionRefused(f"--{option} is one of {', '.join(allowed)}, not {word}.")


def folder_of(output: Path) -> Path:
    """Return the folder of -o, made if need be; refused in words where there can be none."""
    return created(output, f"-o is a folder for the results, and {output} can't be one")


def work_beside(output: Path, work: Path) -> Path:
    """Return the folder beside the file of -o for what is unfinished, made if need be.

    Refused in words: in a training's last second it is too late to learn that nothing can be
    written there.
    """
    return created(work, f"-o can't be written to {output}")


def created(folder: Path, refusal: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OptionRefused(f"{refusal}: {reason}.") from error
    return folder


def reason_of(error: Exception) -> str:
    """Return why a file that people wrote can't be read, without the words of a decoder."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is no text" if isinstance(error, UnicodeDecodeError) else str(error)


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """Yield where to write what then stands at `target`, whole; refused in words where it can't."""
    try:
        with whole_path(target) as draft:
            yield draft
    except OSError as error:
        raise Refused(
            f"{target} can't be written: {error.strerror}.", code="not_written"
        ) from error


def at_least(least: int, **numbers: int | None) -> None:
    """Refuse a number below `least` by its option's name; None was not given."""
    for name, number in numbers.items():
        if number is not None and number < least:
            option = name.replace("_", "-")
            raise OptionRefused(f"--{option} is a whole number from {least} on, not {number}.")


def above_zero(**numbers: float | None) -> None:
    for name, number in numbers.items():
        if number is not None and not (math.isfinite(number) and number > 0):
            option = name.replace("_", "-")
            raise OptionRefused(f"--{option} is a number above 0, not {number:g}.")


def check_judge(judge: str) -> None:
    one_of("judge", judge, ("test", "validation"))


def share_of(word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise OptionRefused(f"--labelled is a share between 0 and 1, not {word}.")
    return share
