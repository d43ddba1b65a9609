"""Two real processes that train one model over gloo."""

import hashlib
import os
import socket

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import spawn

from models import distributed
from models.batches import Drawing, Drawn
from models.networks import NetworkConfig
from models.presets import preset
from models.training import Run, Stopped, train

CONFIG = preset(
    "eugmt-plus",
    network=NetworkConfig(),
    iterations=6,
    crop=32,
    batch_labelled=2,
    batch_unlabelled=2,
    checkpoint_every=2,
    threads=1,
)


def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    masks = np.where(rng.random((6, 32, 32)) < 0.3, 255, 0).astype(np.uint8)
    return images[:4], masks[:4], images[4:]


def digest(values):
    sha256 = hashlib.sha256()
    for value in values:
        sha256.update(np.ascontiguousarray(value).data)
    return sha256.hexdigest()


def join(rank, port):
    os.environ |= {
        "WORLD_SIZE": "2",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    return distributed.joined("cpu")


def learn_together(rank, port, folder):
    group = join(rank, port)
    part = torch.tensor([float(rank), 4.0])
    group.average([part])
    run = Run(CONFIG, None, group)
    drawn = []
    for step in range(CONFIG.iterations):
        drawing = Drawing(CONFIG, *arrays(), step, group)
        drawn.append(drawing.labelled().numpy())
        run.learn(Drawn(drawing.make))
    weights = digest(value.numpy() for value in run.networks().state_dict().values())
    said = f"{part.tolist()} {group.of_leader(rank)} {group.any(flag=rank == 1)}"
    (folder / f"{rank}").write_text("\n".join((weights, digest(drawn), said)))


def learn_stopped_and_on(rank, port, folder):
    join(rank, port)
    asked = iter([False, False, False, rank == 1])
    with pytest.raises(Stopped):
        train(CONFIG, *arrays(), workdir=folder / "stopped", stopping=lambda: next(asked))
    on = train(CONFIG, *arrays(), workdir=folder / "stopped")
    whole = train(CONFIG, *arrays(), workdir=folder / "whole")
    (folder / f"{rank}").write_text(f"{on.sha256} {whole.sha256}")


def of_two(work, folder):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    spawn(work, (port, folder), nprocs=2)
    return [(folder / str(rank)).read_text() for rank in range(2)]


def test_two_processes_see_different_images_and_stay_equal_to_the_last_bit(tmp_path):
    one, other = (said.split("\n") for said in of_two(learn_together, tmp_path))
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] == other[2] == "[0.5, 4.0] 0 True"


def test_one_process_that_is_stopped_stops_both_and_they_go_on_as_if_it_had_not(tmp_path):
    one, other = of_two(learn_stopped_and_on, tmp_path)
    assert one == other
    on, whole = one.split()
    assert on == whole
