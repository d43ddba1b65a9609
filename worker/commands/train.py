"""`membrana train`: one model from a folder of images and masks, judged on held-out groups."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import app, say
from backend.progress import bar
from worker.commands.option_groups import with_groups
from worker.commands.options import OptionRefused, at_least, in_words, share_of, work_beside
from worker.commands.training_options import Folders, ProtocolOptions


@app.command()
@with_groups
def train(
    folders: Folders,
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")],
    options: ProtocolOptions,
    labelled: Annotated[
        str, typer.Option(help="Share of the training patches whose masks are used.")
    ] = "1.0",
    method: Annotated[
        str,
        typer.Option(
            help="A method's name; see `benchmark`. Left out: eugmt-plus, on the small network "
            "beside frozen ImageNet features (eugmt-plus-features) unless --protocol, --network or "
            "--encoder says otherwise."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
) -> None:
    """Train on a folder of images and masks; judge on held-out groups. No server needed.

    Prints the figures as JSON, which also lie beside the weights. Killed, it goes on. On several
    GPUs or sockets: `torchrun --nproc-per-node N -m worker.cli train …`, see docs/training.md.
    """
    folders.check()
    options.check()
    at_least(1, threads=threads)
    at_least(0, seed=seed)
    share = share_of(labelled)
    if output.is_dir():
        raise OptionRefused(f"{output} is a folder: name a file with -o.")
    with in_words():
        from models import distributed
        from models.study import checks, runs
        from models.study.contenders import chosen

        protocol = options.chosen()
        (contender,) = chosen([method_of(method, options)])
        if contender.network and (options.network or options.encoder):
            raise OptionRefused(
                f"{contender.name} has a network of its own: leave out --network and --encoder."
            )
        checks.check([contender], protocol)
        data = folders.read()
        work = work_beside(output, output.with_name(output.name + ".work"))
        # of several processes of one training the leading one holds the folder for all
        leads = distributed.joined(protocol.device).leads
        with runs.alone(work, wait=False) if leads else nullcontext(), bar("training", 1) as show:
            row = runs.run(
                runs.Cell(contender, share, seed),
                data,
                protocol,
                work,
                threads=threads,
                progress=lambda step, of, _: show(step, of),
            )
    if not row:
        # another process of this training writes
        return
    # the weights that the figures are of, with the threshold that they were judged at
    shutil.copyfile(work / runs.WEIGHTS, output)
    row |= {"protocol": protocol.document(), "set_sha256": data.sha256()}
    text = json.dumps(row, indent=1)
    output.with_name(output.name + ".json").write_text(text + "\n")
    shutil.rmtree(work)
    say(text)


def method_of(name: str, options: ProtocolOptions) -> str:
    """Return the contender that is meant: by its name, or the one that validation groups chose.

    That one brings its own network (docs/methods.md); where another is asked for, it has that.
    """
    if name:
        return "eugmt-plus" if name == "eugmt" else name
    return "eugmt-plus" if options.names_a_network else "eugmt-plus-features"
