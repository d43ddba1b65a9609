"""How the words of `membrana benchmark` are read where they are more than a command and options."""

from typing import Any

from typer.core import TyperCommand

MANY = frozenset({"--labelled", "--methods", "--strategies"})
FORMERLY, NOW = "--her2", "agreement"
"""`benchmark --her2 TABLE` was the name of `agreement TABLE`, and goes on to work."""
RENAMED = {"--her2-protocol": "--protocol"}


class BenchmarkCommand(TyperCommand):
    """Takes `--labelled 0.02 0.05` for `--labelled 0.02 --labelled 0.05`, as other tools do.

    And hands the former spelling of `agreement` to it.
    """

    def make_context(
        self, info_name: Any, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        if parent is not None and any(word.partition("=")[0] == FORMERLY for word in args):
            command = parent.command.get_command(parent, NOW)
            return command.make_context(NOW, of_agreement(args), parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread: list[str] = []
        option = ""
        for word in args:
            if word.startswith("-"):
                option = word if word in MANY else ""
            elif option and spread[-1] != option:
                spread.append(option)
            spread.append(word)
        return super().parse_args(ctx, spread)


def of_agreement(args: list[str]) -> list[str]:
    """Return the words of `benchmark --her2 TABLE …` as those of `agreement TABLE …`."""
    rewritten: list[str] = []
    for word in args:
        name, equals, value = word.partition("=")
        if name == FORMERLY:
            rewritten += [value] if equals else []
        else:
            rewritten.append(RENAMED.get(name, name) + equals + value)
    return rewritten


def words(given: list[str] | None) -> list[str]:
    """Return what was given once or several times, with commas or without."""
    return [word for each in given or [] for word in each.replace(",", " ").split()]
