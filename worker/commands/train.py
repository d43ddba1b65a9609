"""`membrana train`: one model from a folder of images and masks, judged on held-out groups."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import app, say
from backend.progress import bar
from worker.commands.options import (
    Batch,
    Crop,
    Device,
    Encoder,
    Folder,
    Groups,
    Loss,
    Masks,
    Mpp,
    Network,
    Passes,
    Positive,
    Rate,
    Region,
    Strong,
    Weights,
    in_words,
    protocol_of,
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

    Prints the figures as JSON, which also lie beside the weights. Killed, it goes on. On several
    GPUs or sockets: `torchrun --nproc-per-node N -m worker.cli train …`, see docs/training.md.
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
        data = dataset.read(images, masks, positive=positive, groups=groups, region=region, mpp=mpp)
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
    if not row:
        # another process of this training writes
        return
    shutil.copyfile(work / "model.safetensors", output)
    row |= {"protocol": protocol.document(), "set_sha256": data.sha256()}
    text = json.dumps(row, indent=1)
    output.with_name(output.name + ".json").write_text(text + "\n")
    shutil.rmtree(work)
    say(text)
