"""Options that commands share are declared once; an error's class knows the exit status."""

import ast
import inspect
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import pytest

import backend
import worker
from backend.client import NoToken
from backend.kit.errors import FAILED, WRONG_USE, MembranaError, NotFound
from models.networks import EncoderUnknown, NetworkError
from models.study.files import DatasetError, OptionWrong
from tests.cli.conftest import Membrana
from worker.commands.benchmark import benchmark
from worker.commands.option_groups import Group, with_groups
from worker.commands.options import OptionRefused, Refused, in_words
from worker.commands.train import train
from worker.commands.training_options import Folders, ProtocolOptions
from worker.commands.words import of_agreement

SHARED = {field.name for group in (Folders, ProtocolOptions) for field in fields(group)}


def test_train_and_benchmark_share_every_option_of_the_groups() -> None:
    taken = [inspect.signature(command).parameters for command in (train, benchmark)]
    for name in SHARED:
        of_train, of_benchmark = (parameters[name] for parameters in taken)
        assert of_train == of_benchmark
    # what a command declares of its own is no name of the groups
    for command in (train, benchmark):
        own = inspect.signature(inspect.unwrap(command)).parameters
        assert not SHARED & own.keys()


@dataclass(frozen=True)
class Odd(Group):
    panel: ClassVar[str] = "Odd"

    number: int = 0


def test_a_field_that_is_no_option_is_refused_when_the_command_is_made() -> None:
    def command(odd: Odd) -> None: ...

    with pytest.raises(TypeError, match="no option"):
        with_groups(command)


def test_the_budget_has_one_meaning_and_two_names(membrana: Membrana) -> None:
    for command in ("train", "benchmark"):
        for name in ("--passes", "--budget"):
            words = ("--images", "a", "--masks", "b", "-o", "c.json", name, "0")
            said = membrana(command, *words)
            assert said.code == WRONG_USE
            assert said.err == "--passes is a whole number from 1 on, not 0. (wrong_option)\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OptionWrong("method_unknown", "There is no method x."), WRONG_USE),
        (EncoderUnknown("unknown_encoder", "There is no encoder x."), WRONG_USE),
        (DatasetError("mask_missing", "There is no mask."), FAILED),
        (NetworkError("network_unbuildable", "It can't be built."), FAILED),
    ],
)
def test_what_models_refuse_keeps_its_code_and_has_a_status(
    error: DatasetError, status: int
) -> None:
    with pytest.raises(Refused) as caught, in_words():
        raise error
    assert (caught.value.exit_status, caught.value.problem_code) == (status, error.code)


def test_a_class_knows_its_exit_status() -> None:
    assert MembranaError("It failed.").exit_status == FAILED
    assert NotFound("There is none.").exit_status == FAILED
    assert NoToken("Who asks?").exit_status == WRONG_USE
    assert OptionRefused("-o is a file.", code="protocol").exit_status == WRONG_USE


ENDINGS = {"typer.Exit", "Exit", "sys.exit", "exit", "SystemExit"}


def test_no_command_chooses_an_exit_status_by_itself() -> None:
    """`typer.Exit` nowhere, and `sys.exit` in the one place where commands end."""
    commands = Path(str(worker.__file__)).parent / "commands"
    files = [Path(str(backend.__file__)).parent / "cli.py", *sorted(commands.rglob("*.py"))]
    found = [
        (path.name, ast.unparse(node))
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ENDINGS
    ]
    assert found == [("cli.py", "sys.exit(shown.exit_status)")]


def test_the_former_spelling_of_agreement_is_read_as_the_command() -> None:
    former = ["-o", "a.json", "--her2", "t.csv", "--her2-protocol", "p", "--masks=m", "--gap", "1+"]
    now = ["-o", "a.json", "t.csv", "--protocol", "p", "--masks=m", "--gap", "1+"]
    assert of_agreement(former) == now
    assert of_agreement(["--her2=t.csv", "--her2-protocol=p"]) == ["t.csv", "--protocol=p"]


def test_both_spellings_say_the_same(membrana: Membrana, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,category,mpp\ngone.png,0,0.25\n")
    now, former = (
        membrana(*words) for words in (("agreement", str(table)), ("benchmark", f"--her2={table}"))
    )
    assert (now.code, now.out, now.err) == (former.code, former.out, former.err)
    assert now.code == FAILED
    assert json.loads(now.out)["failed"][0]["code"] == "image_missing"
    for words in (("agreement",), ("benchmark", "--her2")):
        assert membrana(*words).code == WRONG_USE
