"""`membrana`: the service's commands, and those that learn from folders without a service.

torch is imported when a command of these runs, not before.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from backend.cli import app, main, say
from backend.errors import MembranaError
from backend.progress import bar

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
    from models.study.contenders import LOSSES, Protocol

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


@app.command()
def train(
    images: Folder,
    masks: Masks,
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")],
    positive: Positive = "255",
    groups: Groups = None,
    region: Region = None,
    labelled: Annotated[
        float, typer.Option(help="Share of the training patches whose masks are used.")
    ] = 1.0,
    method: Annotated[str, typer.Option(help="A method's name; see `benchmark`.")] = "eugmt-plus",
    seed: int = 0,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
    passes: Passes = 6_000,
    strong: Strong = "stain",
    network: Network = "unet-small",
    encoder: Encoder = "resnet50",
    encoder_weights: Weights = "scratch",
    crop: Crop = 128,
    batch: Batch = 4,
    learning_rate: Rate = 2e-3,
    loss: Loss = "dice+ce",
    device: Device = "cpu",
) -> None:
    """Train on a folder of images and masks; judge on held-out groups. No server needed.

    Prints the figures as JSON, which also lie beside the weights. Killed, it goes on.
    """
    with in_words():
        from models.study import dataset, runs
        from models.study.contenders import chosen

        protocol = protocol_of(
            passes=passes,
            strong=strong,
            network=network,
            encoder=encoder,
            encoder_weights=encoder_weights,
            crop=crop,
            batch=batch,
            learning_rate=learning_rate,
            loss=loss,
            device=device,
        )
        (contender,) = chosen(["eugmt-plus" if method == "eugmt" else method])
        data = dataset.read(images, masks, positive=positive, groups=groups, region=region)
        work = output.with_name(output.name + ".work")
        with bar("training", 1) as show:
            row = runs.run(
                runs.Cell(contender, labelled, seed),
                data,
                protocol,
                work,
                threads=threads,
                progress=lambda step, of, _: show(step, of),
            )
    shutil.copyfile(work / "model.safetensors", output)
    row |= {"protocol": protocol.document(), "set_sha256": data.sha256()}
    text = json.dumps(row, indent=1)
    output.with_name(output.name + ".json").write_text(text + "\n")
    shutil.rmtree(work)
    say(text)


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


@app.command(cls=ManyWords)
def benchmark(
    output: Annotated[Path, typer.Option("--output", "-o", help="results.json to write.")],
    images: Folder,
    masks: Masks,
    positive: Positive = "255",
    groups: Groups = None,
    region: Region = None,
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
        int, typer.Option("--budget", help="Image passes of a training, the same for all methods.")
    ] = 6_000,
    strong: Strong = "stain",
    network: Network = "unet-small",
    encoder: Encoder = "resnet50",
    encoder_weights: Weights = "scratch",
    crop: Crop = 128,
    batch: Batch = 4,
    learning_rate: Rate = 2e-3,
    loss: Loss = "dice+ce",
    device: Device = "cpu",
) -> None:
    """Compare methods on a folder of images and masks, at equal budgets, on held-out groups.

    Prints Markdown tables; results.json, curves and pictures lie at -o. What is in results.json is
    not run again, so it can be killed, gone on with and added to.
    """
    with in_words():
        from models.study import dataset, results
        from models.study.contenders import chosen
        from models.study.runs import Cell

        protocol = protocol_of(
            passes=passes,
            strong=strong,
            network=network,
            encoder=encoder,
            encoder_weights=encoder_weights,
            crop=crop,
            batch=batch,
            learning_rate=learning_rate,
            loss=loss,
            device=device,
        )
        competing = chosen(words(methods), variants)
        shares = [share_of(word) for word in words(labelled) or ["0.02", "0.05"]]
        data = dataset.read(
            images, masks, positive=positive, groups=groups, region=region, name=name
        )
        if active:
            from models.study.active import Plan

            plan = Plan(one_of(competing), protocol, tuple(sorted(shares)), work_of(output))
            compare_strategies(plan, data, words(strategies), seeds, jobs, output)
            return
        cells = [
            Cell(contender, share, seed)
            for seed in range(seeds)
            for share in shares
            for contender in competing
        ]
        found = results.Results(output, protocol)
        with bar("trainings", len(cells)) as show:
            results.complete(
                found,
                data,
                protocol,
                cells,
                work_of(output),
                jobs=jobs,
                progress=lambda done, of, _: show(done, of),
            )
        illustrate(found.content, data, output)


def compare_strategies(
    plan: Any, data: Any, strategies: list[str], seeds: int, jobs: int, output: Path
) -> None:
    """Run the study of active learning; print its table, write it and draw its curves."""
    from models.study import active, active_report
    from models.study.machine import describe
    from models.study.strategies import STRATEGIES

    if len(plan.shares) < 2:
        raise Refused("--active needs at least two --labelled shares.", code="wrong_option")
    with bar("chains", 1) as show:
        found = active.study(
            plan,
            data,
            strategies or list(STRATEGIES),
            seeds,
            jobs=jobs,
            progress=lambda done, of, _: show(done, of),
        )
    found |= {"protocol": plan.protocol.document(), "measured": describe()}
    output.write_text(json.dumps(found, indent=1) + "\n")
    markdown = active_report.markdown(found)
    output.with_suffix(".md").write_text(markdown)
    active_report.curves(found, output.with_suffix(".png"))
    say(markdown)


def one_of(competing: list[Any]) -> Any:
    """Return the one method whose labels are asked for."""
    if len(competing) != 1:
        raise Refused("--active takes one of --methods.", code="wrong_option")
    return competing[0]


def work_of(output: Path) -> Path:
    """Where trainings lie until they are finished, and their weights after."""
    return output.with_suffix(".work")


def illustrate(content: dict[str, Any], data: Any, output: Path) -> None:
    """Print the tables and draw what belongs to them."""
    from models.study import figures, table

    markdown = table.markdown(content)
    output.with_suffix(".md").write_text(markdown)
    figures.curves(content, output.with_suffix(".curves.png"))
    say(markdown)


@app.command()
def tables(
    results: Annotated[list[Path], typer.Argument(help="Files that `benchmark` wrote.")],
) -> None:
    """Print the tables of finished studies as Markdown."""
    from models.study import table

    for path in results:
        try:
            say(table.markdown(json.loads(path.read_text())))
        except (OSError, ValueError) as error:
            raise Refused(f"{path} can't be read: {error}.", code="results_unreadable") from error


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


if __name__ == "__main__":
    main()
