"""`membrana benchmark` and `membrana tables`: methods and strategies compared at equal budgets."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import app, complain, say
from backend.progress import bar
from worker.commands.options import (
    Batch,
    Compile,
    Crop,
    Device,
    Encoder,
    Groups,
    Judge,
    Loss,
    ManyWords,
    Mpp,
    Named,
    Network,
    Positive,
    Rate,
    Refused,
    Region,
    Schedule,
    Strong,
    WarmUp,
    Weights,
    above_zero,
    at_least,
    check_judge,
    in_words,
    protocol_of,
    share_of,
    words,
    work_beside,
)


@app.command(cls=ManyWords)
def benchmark(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="results.json to write; --her2 can do without."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images: PNG, TIFF or JPEG.")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of the same names.")] = None,
    positive: Positive = "255",
    groups: Groups = None,
    region: Region = None,
    mpp: Mpp = None,
    name: Annotated[str, typer.Option(help="The set's name in the tables.")] = "",
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
    passes: Annotated[
        int | None,
        typer.Option(
            "--budget", help="Image passes of a training, the same for all methods; small: 6000."
        ),
    ] = None,
    protocol: Named = "small",
    strong: Strong = None,
    network: Network = None,
    encoder: Encoder = None,
    encoder_weights: Weights = "scratch",
    crop: Crop = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    schedule: Schedule = None,
    warm_up: WarmUp = None,
    loss: Loss = None,
    device: Device = "cpu",
    compiled: Compile = False,
    judge: Judge = "test",
    her2: Annotated[
        Path | None,
        typer.Option(help="CSV of image and category: compare HER2 scores instead of methods."),
    ] = None,
    her2_protocol: Annotated[str, typer.Option(help="Rules of --her2.")] = "asco_cap_2023_breast",
    calibration: Annotated[
        Path | None, typer.Option(help="Of --her2: what `calibrate` wrote.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Of --her2: weights that draw the masks.")
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(help="Of --her2: folder of GeoJSON by the images' names.")
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Of --her2: weights of a nucleus detector.")
    ] = None,
    gap: Annotated[
        str | None, typer.Option(help="Of --her2: what the guideline's gap is scored as.")
    ] = None,
    merge_zero_plus: Annotated[
        bool, typer.Option("--merge-zero-plus", help="Of --her2: count 0+ as 0.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(help="Of --her2: folder for a figure of each disagreement.")
    ] = None,
) -> None:
    """Compare methods on a folder of images and masks, at equal budgets, on held-out groups.

    Prints Markdown tables; results and curves lie at -o, weights and a gallery of proposals in the
    folder beside it that ends in .work. What is in results.json is not run again, so it can be
    killed, gone on with and added to.
    """
    if her2 is not None:
        from worker.commands import her2_agreement

        with in_words():
            her2_agreement.compare(
                her2,
                output,
                masks=masks,
                positive=positive,
                protocol=her2_protocol,
                calibration=calibration,
                model=model,
                regions=regions,
                detector=detector,
                gap=gap,
                merge_zero_plus=merge_zero_plus,
                into=into,
            )
        return
    if images is None or masks is None:
        raise Refused("--images and --masks are needed, or --her2.", code="wrong_option")
    if output is None:
        raise Refused("-o names the results.json to write.", code="wrong_option")
    check_judge(judge)
    at_least(1, jobs=jobs, seeds=seeds, budget=passes, batch=batch, crop=crop)
    at_least(0, warm_up=warm_up)
    above_zero(learning_rate=learning_rate, mpp=mpp)
    shares = [share_of(word) for word in words(labelled) or ["0.02", "0.05"]]
    check_places(output, name)
    with in_words():
        from models.study import checks, dataset, results
        from models.study.contenders import chosen
        from models.study.runs import cells_of

        shared = protocol_of(
            protocol,
            passes=passes,
            strong=strong,
            network=network,
            encoder=encoder,
            encoder_weights=encoder_weights,
            crop=crop,
            batch=batch,
            learning_rate=learning_rate,
            schedule=schedule,
            warm_up=warm_up,
            loss=loss,
            device=device,
            compile=compiled,
        )
        competing = chosen(words(methods), variants)
        checks.check(competing, shared)
        if active and len(competing) != 1:
            raise Refused("--active takes one of --methods.", code="wrong_option")
        kept = None if active else results.Results(output, shared)
        data = dataset.read(
            images, masks, positive=positive, groups=groups, region=region, name=name, mpp=mpp
        )
        if kept is None:
            from models.study.active import Plan

            plan = Plan(competing[0], shared, tuple(sorted(set(shares))), work_of(output), judge)
            compare_strategies(plan, data, words(strategies), seeds, jobs, output)
            return
        cells = cells_of(competing, shares, seeds)
        if stale := kept.outdated(data, shared, cells):
            complain(f"{len(stale)} trainings in {output} are of other options: they run again.")
        with bar("trainings", len(cells)) as show:
            results.complete(
                kept,
                data,
                shared,
                cells,
                work_beside(output, work_of(output)),
                judge=judge,
                jobs=jobs,
                progress=lambda done, of, _: show(done, of),
            )
        illustrate(kept.content, data, output, judge)


def compare_strategies(
    plan: Any, data: Any, strategies: list[str], seeds: int, jobs: int, output: Path
) -> None:
    """Run the study of active learning; print its table, write it and draw its curves."""
    from models.study import active, active_report
    from models.study.machine import describe
    from models.study.strategies import STRATEGIES

    if len(plan.shares) < 2:
        raise Refused("--active needs at least two --labelled shares.", code="wrong_option")
    strategies = strategies or list(STRATEGIES)
    active.check_output(output, plan, data, strategies, seeds)
    work_beside(output, plan.work)
    with bar("chains", 1) as show:
        found = active.study(
            plan,
            data,
            strategies,
            seeds,
            jobs=jobs,
            progress=lambda done, of, _: show(done, of),
        )
    found |= {"measured": describe()}
    output.write_text(json.dumps(found, indent=1) + "\n")
    markdown = active_report.markdown(found)
    output.with_suffix(".md").write_text(markdown)
    active_report.curves(found, output.with_suffix(".png"))
    say(markdown)


def check_places(output: Path, name: str) -> None:
    """Refuse a file that something else of the study would be written over, and odd set names."""
    if output.is_dir() or output.suffix in {".md", ".png", ".new", ".work"}:
        raise Refused(f"-o names a .json file, not {output}.", code="wrong_option")
    if name and (name != Path(name).name or name.startswith(".")):
        raise Refused(f"--name is no path, as {name} is.", code="wrong_option")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise Refused(
            "`benchmark` is not for torchrun, whose processes would all run all of it: --jobs runs "
            "several trainings side by side, on all GPUs.",
            code="wrong_option",
        )


def work_of(output: Path) -> Path:
    """Where trainings lie until they are finished, and their weights after."""
    return output.with_suffix(".work")


def illustrate(content: dict[str, Any], data: Any, output: Path, judge: str) -> None:
    """Print the tables and draw what belongs to them."""
    from models.study import figures, table

    markdown = table.markdown(content, judge)
    output.with_suffix(".md").write_text(markdown)
    figures.curves(content, output.with_suffix(".curves.png"))
    # pictures of people's images stay out of the folder of results
    figures.gallery(
        content, data, work_of(output), work_of(output) / f"{data.name}.png", judge=judge
    )
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
        raise Refused(f"{path} can't be read: {error}.", code="results_unreadable") from error
    if not isinstance(content, dict) or not {"protocol", "sets", "runs"} <= content.keys():
        raise Refused(f"{path} holds no results of `benchmark`.", code="results_unreadable")
    return content
