"""`membrana benchmark` and `membrana tables`: methods and strategies compared at equal budgets."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.cli import app, complain, say
from backend.progress import bar
from worker.commands.option_groups import with_groups
from worker.commands.options import (
    Judge,
    OptionRefused,
    Refused,
    at_least,
    check_judge,
    in_words,
    reason_of,
    share_of,
    work_beside,
)
from worker.commands.training_options import Folders, ProtocolOptions
from worker.commands.words import BenchmarkCommand, words

if TYPE_CHECKING:
    from models.study.contenders import Contender
    from models.study.dataset import Dataset
    from models.study.protocol import Protocol


@app.command(cls=BenchmarkCommand)
@with_groups
def benchmark(
    folders: Folders,
    output: Annotated[Path, typer.Option("--output", "-o", help="results.json to write.")],
    options: ProtocolOptions,
    name: Annotated[str, typer.Option(help="The set's name in the tables.")] = "",
    parts: Annotated[
        Path | None,
        typer.Option(
            help="CSV of file name and part (train, validation, test, or unlabelled: images "
            "without masks); without it, parts are drawn by group."
        ),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Methods, separated by commas or repeated.")
    ] = None,
    variants: Annotated[
        Path | None, typer.Option(help="TOML of methods with switches turned: the ablation.")
    ] = None,
    labelled: Annotated[
        list[str] | None, typer.Option(help="Shares of labelled patches, likewise.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    *,
    active: Annotated[
        bool, typer.Option("--active", help="Simulate active learning: --labelled are its rounds.")
    ] = False,
    strategies: Annotated[
        list[str] | None, typer.Option(help="What --active compares; all if left out.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Trainings at a time, one thread each.")] = 1,
    judge: Judge = "test",
) -> None:
    """Compare methods on a folder of images and masks, at equal budgets, on held-out groups.

    Prints Markdown tables; results and curves lie at -o, weights and a gallery of proposals in the
    folder beside it that ends in .work. What is in results.json is not run again, so it can be
    killed, gone on with and added to.
    """
    folders.check()
    options.check()
    check_judge(judge)
    at_least(1, jobs=jobs, seeds=seeds)
    shares = [share_of(word) for word in words(labelled) or ["0.02", "0.05"]]
    check_places(output, name)
    with in_words():
        from models.study import checks
        from models.study.contenders import chosen

        protocol = options.chosen()
        competing = chosen(words(methods), variants)
        checks.check(competing, protocol)
        if active:
            compare_strategies(
                one_of_them(competing),
                protocol,
                sorted(set(shares)),
                words(strategies),
                Study(folders, name, parts, output, judge, seeds, jobs),
            )
        else:
            compare_methods(
                competing, protocol, shares, Study(folders, name, parts, output, judge, seeds, jobs)
            )


@dataclass(frozen=True)
class Study:
    """What both kinds of comparison need: which set, where to, whose figures, how many of what."""

    folders: Folders
    name: str
    parts: Path | None
    output: Path
    judge: str
    seeds: int
    jobs: int

    def read(self) -> "Dataset":
        return self.folders.read(self.name, self.parts)

    @property
    def work(self) -> Path:
        """Where trainings lie until they are finished, and their weights after."""
        return self.output.with_suffix(".work")


def one_of_them(competing: "list[Contender]") -> "Contender":
    if len(competing) != 1:
        raise OptionRefused("--active takes one of --methods.")
    return competing[0]


def compare_methods(
    competing: "list[Contender]", protocol: "Protocol", shares: list[float], study: Study
) -> None:
    """Train every method on every share, as often as there are seeds; print the tables."""
    from models.study import results
    from models.study.runs import cells_of

    output = study.output
    finished = results.Results(output, protocol)
    data = study.read()
    cells = cells_of(competing, shares, study.seeds)
    if stale := finished.outdated(data, protocol, cells):
        complain(f"{len(stale)} trainings in {output} are of other options: they run again.")
    with bar("trainings", len(cells)) as show:
        results.complete(
            finished,
            data,
            protocol,
            cells,
            work_beside(output, study.work),
            judge=study.judge,
            jobs=study.jobs,
            progress=lambda done, of, _: show(done, of),
        )
    illustrate(finished.content, data, study)


def compare_strategies(
    method: "Contender",
    protocol: "Protocol",
    shares: list[float],
    strategies: list[str],
    study: Study,
) -> None:
    """Run the study of active learning; print its table, write it and draw its curves."""
    from models.study import active, active_report
    from models.study.machine import describe
    from models.study.strategies import STRATEGIES

    output = study.output
    data = study.read()
    if len(shares) < 2:
        raise OptionRefused("--active needs at least two --labelled shares.")
    plan = active.Plan(method, protocol, tuple(shares), study.work, study.judge)
    strategies = strategies or list(STRATEGIES)
    active.check_output(output, plan, data, strategies, study.seeds)
    work_beside(output, plan.work)
    with bar("chains", 1) as show:
        document = active.study(
            plan,
            data,
            strategies,
            study.seeds,
            jobs=study.jobs,
            progress=lambda done, of, _: show(done, of),
        )
    document |= {"measured": describe()}
    output.write_text(json.dumps(document, indent=1) + "\n")
    markdown = active_report.markdown(document)
    output.with_suffix(".md").write_text(markdown)
    active_report.curves(document, output.with_suffix(".png"))
    say(markdown)


def check_places(output: Path, name: str) -> None:
    """Refuse a file that something else of the study would be written over, and odd set names."""
    if output.is_dir() or output.suffix in {".md", ".png", ".new", ".work"}:
        raise OptionRefused(f"-o names a .json file, not {output}.")
    if name and (name != Path(name).name or name.startswith(".")):
        raise OptionRefused(f"--name is no path, as {name} is.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise OptionRefused(
            "`benchmark` is not for torchrun, whose processes would all run all of it: --jobs runs "
            "several trainings side by side, on all GPUs."
        )


def illustrate(content: dict[str, Any], data: "Dataset", study: Study) -> None:
    """Print the tables and draw what belongs to them."""
    from models.study import plots, table

    markdown = table.markdown(content, study.judge)
    study.output.with_suffix(".md").write_text(markdown)
    plots.curves(content, study.output.with_suffix(".curves.png"))
    # pictures of people's images stay out of the folder of results
    plots.gallery(content, data, study.work, study.work / f"{data.name}.png", judge=study.judge)
    say(markdown)


@app.command()
def tables(
    results: Annotated[list[Path], typer.Argument(help="Files that `benchmark` wrote.")],
    *,
    summary: Annotated[
        bool, typer.Option("--summary", help="One table of all files: Dice alone.")
    ] = False,
    judge: Judge = "test",
) -> None:
    """Print the tables of finished studies as Markdown."""
    from models.study import table

    check_judge(judge)
    studies = [content_of(path) for path in results]
    try:
        if summary:
            say(table.summary(studies, judge))
            return
        for study in studies:
            say(table.markdown(study, judge))
    except ValueError as error:
        raise Refused(f"{str(error).capitalize()}.", code="results_differ") from error


def content_of(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refused(
            f"{path} can't be read: {reason_of(error)}.", code="results_unreadable"
        ) from error
    if not isinstance(content, dict) or not {"protocol", "sets", "runs"} <= content.keys():
        raise Refused(f"{path} holds no results of `benchmark`.", code="results_unreadable")
    return content
