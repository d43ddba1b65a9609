"""`membrana train`: one model from a folder of images and masks, judged on held-out groups."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import app, say
from backend.progress import bar
from worker.commands.options import (
    Batch,
    Compile,
    Crop,
    Device,
    Encoder,
    Folder,
    Groups,
    Loss,
    Masks,
    Mpp,
    Named,
    Network,
    Passes,
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
    in_words,
    protocol_of,
    share_of,
    work_beside,
)


@app.command()
def train(
    images: Folder,
    masks: Masks,
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights to write.")],
    positive: Positive = "255",
    groups: Groups = None,
    region: Region = None,
    mpp: Mpp = None,
    labelled: Annotated[
        str, typer.Option(help="Share of the training patches whose masks are used.")
    ] = "1.0",
    method: Annotated[str, typer.Option(help="A method's name; see `benchmark`.")] = "eugmt-plus",
    seed: int = 0,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
    passes: Passes = None,
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
    *,
    compiled: Compile = False,
) -> None:
    """Train on a folder of images and masks; judge on held-out groups. No server needed.

    Prints the figures as JSON, which also lie beside the weights. Killed, it goes on. On several
    GPUs or sockets: `torchrun --nproc-per-node N -m worker.cli train …`, see docs/training.md.
    """
    at_least(1, threads=threads, passes=passes, batch=batch, crop=crop)
    at_least(0, seed=seed, warm_up=warm_up)
    above_zero(learning_rate=learning_rate, mpp=mpp)
    share = share_of(labelled)
    if output.is_dir():
        raise Refused(f"{output} is a folder: name a file with -o.", code="wrong_option")
    with in_words():
        from models import distributed
        from models.study import checks, dataset, runs
        from models.study.contenders import chosen

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
        (contender,) = chosen(["eugmt-plus" if method == "eugmt" else method])
        checks.check([contender], shared)
        data = dataset.read(images, masks, positive=positive, groups=groups, region=region, mpp=mpp)
        work = work_beside(output, output.with_name(output.name + ".work"))
        # of several processes of one training the leading one holds the folder for all
        leads = distributed.joined(shared.device).leads
        with runs.alone(work, wait=False) if leads else nullcontext(), bar("training", 1) as show:
            row = runs.run(
                runs.Cell(contender, share, seed),
                data,
                shared,
                work,
                threads=threads,
                progress=lambda step, of, _: show(step, of),
            )
    if not row:
        # another process of this training writes
        return
    shutil.copyfile(work / "model.safetensors", output)
    row |= {"protocol": shared.document(), "set_sha256": data.sha256()}
    text = json.dumps(row, indent=1)
    output.with_name(output.name + ".json").write_text(text + "\n")
    shutil.rmtree(work)
    say(text)
