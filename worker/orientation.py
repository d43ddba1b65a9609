"""What a file stores turned, made upright by way of the disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyvips

from models.decoding import Complaints
from models.pictures.inside import UPRIGHT
from worker.vips_progress import Watch, watched

BY_ROWS = frozenset({UPRIGHT, 2})
"""Orientations whose rows come in the stored order: a stream serves them."""


@contextmanager
def turned(
    image: pyvips.Image, orientation: int, scratch: Path, watch: Watch, complaints: Complaints
) -> Iterator[pyvips.Image]:
    """Yield a picture upright; the stored one is a stream of rows. Raises PictureDamaged.

    Where rows come in another order, the whole picture goes uncompressed into the folder
    `scratch` until the block ends: three bytes a pixel, and no memory.
    """
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    if not needs_scratch(orientation):
        yield image.autorot()
        return
    with TemporaryDirectory(dir=scratch, prefix=f".turned-{os.getpid()}-") as folder:
        stored = Path(folder) / "stored.v"
        with watched(image, watch) as followed:
            followed.write_to_file(str(stored))
        # here the file's pixels are decoded: to turn them, libvips forgets what it noted of them
        complaints.judge()
        yield pyvips.Image.new_from_file(str(stored)).autorot()


def needs_scratch(orientation: int) -> bool:
    return orientation not in BY_ROWS
