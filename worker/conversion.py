"""Turn a picture, or a slide without usable levels, into a tiled pyramidal TIFF, in a stream.

Nothing here holds a whole picture: libvips reads rows as it writes tiles. Kinds of files that
can only be read whole (interlaced PNG, progressive JPEG) are taken up to a bound.
"""

import itertools
import os
import select
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyvips

from backend.kit.errors import Unprocessable
from backend.kit.geometry import Region0, SizePx
from backend.kit.storage.whole_files import whole_path
from backend.slides.catalogue.overview import read_over_gaps
from backend.slides.reading.reader import RegionUnreadable, SlideReader
from worker.layout import Layout
from worker.orientation import needs_scratch, turned
from worker.plain_pictures import broken, decoded_strictly
from worker.vips_progress import Watch, part_of, watched

TILE_PX = 256
LOSSLESS_PIXELS = 100_000_000
"""Up to here a converted picture keeps every grey level; beyond, JPEG at a high quality."""
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
STRIP_PX = 512
LARGEST_GAP = 8.5
"""A level this much smaller than the next finer one still serves all between them quickly."""
COARSEST_PX = 4096
"""A slide whose coarsest level is larger than this needs smaller ones."""
UNKNOWN_RESOLUTION = 1.0
"""Pixels per mm that libvips gives to a file that says nothing: no pixel size."""

POLL_SECONDS = 0.2


def has_usable_levels(levels: Sequence[SizePx]) -> bool:
    """Say whether tiles of every zoom can be read quickly from these level sizes."""
    longest = [max(size) for size in levels]
    gaps = [fine / coarse for fine, coarse in itertools.pairwise(longest)]
    return longest[-1] <= COARSEST_PX and all(gap <= LARGEST_GAP for gap in gaps)


def convert_picture(
    path: Path, target: Path, *, layout: Layout, mpp: float | None, most_pixels: int, watch: Watch
) -> None:
    """Write a picture as a pyramid, upright, with this resolution. Its description goes with it.

    What a decoder complains of ends it: a pyramid has only pixels that the file has.
    """
    orientation = layout.shown.orientation
    half = 0.5 if needs_scratch(orientation) else 0.0
    # what a decoder complains of is known when all is decoded: until then the file has no name
    with (
        whole_path(target) as draft,
        decoded_strictly(path, layout, most_pixels=most_pixels) as (stored, complaints),
        turned(stored, orientation, target.parent, part_of(watch, 0, half), complaints) as image,
    ):
        save_pyramid(with_size(image, mpp), draft, watch=part_of(watch, half, 1))


def with_size(image: pyvips.Image, mpp: float | None) -> pyvips.Image:
    """Return a picture that says this pixel size, or none: what its file said is judged before."""
    per_mm = 1000 / mpp if mpp else UNKNOWN_RESOLUTION
    return image.copy(xres=per_mm, yres=per_mm)


def convert_slide(reader: SlideReader, target: Path, *, mpp: float | None, watch: Watch) -> None:
    """Write a slide that has no usable levels as a pyramid.

    Raise RegionUnreadable where it is damaged: a pyramid would show glass there as if it were.
    """
    read_end, write_end = os.pipe()
    feeder = Feeder(reader, write_end)
    feeder.start()
    try:
        source = pyvips.Source.new_from_descriptor(read_end)
        os.close(read_end)
        image = pyvips.Image.pngload_source(source, access="sequential", fail_on="error")
        image = with_size(image.copy(interpretation="srgb"), mpp)
        write_pyramid(image, target, lossless=False, watch=watch)
    except Unprocessable:
        feeder.stop()
        # libvips only saw that the strips ended
        if feeder.failure is None:
            raise
    finally:
        feeder.stop()
    if feeder.failure is not None:
        target.unlink(missing_ok=True)
        raise feeder.failure


class Feeder(threading.Thread):
    """Reads a slide strip by strip and writes it as a PNG, unpacked, into a pipe.

    PNG, because libvips can read it from a pipe whatever it was built with.
    """

    def __init__(self, reader: SlideReader, descriptor: int) -> None:
        super().__init__(name="strips", daemon=True)
        self.failure: Exception | None = None
        self._reader = reader
        self._descriptor = descriptor
        self._done = threading.Event()
        # libvips may stop reading without closing its end: a blocked write would never return
        os.set_blocking(descriptor, False)

    def run(self) -> None:
        try:
            self._feed()
        except BrokenPipeError:
            # libvips let go, and says itself why
            return
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self.failure = error
        finally:
            os.close(self._descriptor)

    def stop(self) -> None:
        self._done.set()
        self.join()

    def _feed(self) -> None:
        width, height = self._reader.dimensions
        self._write(PNG_HEAD)
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        stored = zlib.compressobj(0)
        for top in range(0, height, STRIP_PX):
            strip = Region0(0, top, width, min(STRIP_PX, height - top))
            # piece by piece: a strip of a wide slide is too much at once
            image, unreadable = read_over_gaps(self._reader, strip, (width, int(strip.height)))
            if unreadable.any():
                raise RegionUnreadable(
                    f"The file is damaged between rows {top} and {strip.bottom}."
                )
            # every row begins with the number of its filter: none
            rows = np.zeros((image.shape[0], 1 + 3 * width), np.uint8)
            rows[:, 1:] = image.reshape(image.shape[0], -1)
            self._chunk(b"IDAT", stored.compress(rows.data))
        self._chunk(b"IDAT", stored.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, data: bytes) -> None:
        checksum = zlib.crc32(data, zlib.crc32(kind))
        for part in (struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)):
            self._write(part)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left and not self._done.is_set():
            _, writable, _ = select.select([], [self._descriptor], [], POLL_SECONDS)
            if writable:
                left = left[os.write(self._descriptor, left) :]


def write_pyramid(
    image: pyvips.Image, target: Path, *, watch: Watch, lossless: bool | None = None
) -> None:
    """Write beside the target and rename: a pyramid is there whole or not at all.

    lossless: by its size, if left out.
    """
    with whole_path(target) as draft:
        save_pyramid(image, draft, watch=watch, lossless=lossless)


def save_pyramid(
    image: pyvips.Image, path: Path, *, watch: Watch, lossless: bool | None = None
) -> None:
    if lossless is None:
        lossless = image.width * image.height <= LOSSLESS_PIXELS
    how = (
        {"compression": "lzw", "predictor": "horizontal"}
        if lossless
        else {"compression": "jpeg", "Q": 95}
    )
    try:
        with watched(image, watch) as followed:
            followed.tiffsave(
                str(path),
                tile=True,
                tile_width=TILE_PX,
                tile_height=TILE_PX,
                pyramid=True,
                bigtiff=True,
                resunit="cm",
                **how,
            )
    except pyvips.Error as error:
        raise broken(error) from error
