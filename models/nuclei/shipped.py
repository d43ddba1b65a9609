"""The nucleus detector that comes with Membrana: its weights, and how they are run.

Weights are a file of the package; with another sha256 than is asked for they are refused.
OpenVINO runs them on the processor, in f32 and in one fixed shape, so that the same pixels give the
same nuclei to the last bit.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import local

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from models.nuclei.graph import Weights, compiled
from models.nuclei.networks import DetectorError, Label, Network, Rgb
from models.nuclei.seeds import Seeding
from models.nuclei.windows import Grid

WEIGHTS = Path(__file__).parent / "weights" / "nuclei.safetensors"
SEEDING = Seeding()
GRID = Grid(core=576, rim=32)
"""Larger windows than a mounted detector's: less is drawn twice."""
Maps = Callable[[Rgb], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


@lru_cache(1)
def shipped(sha256: str) -> Network:
    """Return the network with the package's weights: RGB of GRID's window in, a label map out.

    Raise DetectorError if the package's file is another one.
    """
    maps = maps_of(WEIGHTS, GRID.window, sha256)

    def run(image: Rgb) -> Label:
        return SEEDING(*maps(image))

    return run


def read_weights(path: Path, sha256: str | None) -> Weights:
    """Read a file of weights. Raise DetectorError for another one than is known."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DetectorError(
            "detector_missing", f"The weights of the nucleus detector can't be read: {error}"
        ) from error
    actual = hashlib.sha256(content).hexdigest()
    if sha256 is not None and actual != sha256:
        raise DetectorError(
            "detector_changed",
            f"{path.name}, which comes with Membrana, has the sha256 {actual}, and not {sha256}: "
            "install Membrana again.",
        )
    return load(content)


def maps_of(path: Path, side: int, sha256: str | None = None) -> Maps:
    """Compile weights for pictures of `side` px a side; threads may call the result at once."""
    network = compiled(read_weights(path, sha256), side)
    own = local()

    def run(image: Rgb) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        if not hasattr(own, "request"):
            own.request = network.create_infer_request()
        [[centre, inside]] = own.request.infer([image[None]])[0]
        return centre, inside

    return run
