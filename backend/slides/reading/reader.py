"""Read pixels of a slide: float level-0 boxes in, RGB arrays out, always over bare glass.

Boxes count from the corner of the
scanned part (bounds.py), which is all there is of a slide: nobody else adds it.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import openslide
from PIL import ImageCms

from backend.kit.errors import MembranaError, Unprocessable
from backend.kit.geometry import Region0, SizePx
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings, get_settings
from backend.slides.reading.bounds import Bounds, bounds_of
from backend.slides.reading.colour import ProfileUnusable, ToSrgb, check_size, to_srgb
from backend.slides.reading.damage import DamagedTile, tiles_of
from backend.slides.reading.formats import HEAD_BYTES, TIFF, vendor_of
from backend.slides.reading.resampling import drawn
from backend.slides.reading.stored_tiles import StoredTiles

Rgb = npt.NDArray[np.uint8]
GLASS = 255
"""Grey level of bare glass where the file has no pixels: white, never black."""
MAX_OPEN = 10


ICC_SIZE = "openslide.icc-size"


@lru_cache(maxsize=1)
def tile_cache(capacity: int) -> openslide.OpenSlideCache:
    """Return the decoded tiles of this process, shared by all its slides: bytes in all."""
    return openslide.OpenSlideCache(capacity)


class SlideUnreadable(Unprocessable):
    code, title = "slide_unreadable", "This slide can't be read"


class RegionUnreadable(MembranaError):
    status, code, title = 422, "region_unreadable", "A part of this slide can't be read"


class SlideReader(Protocol):
    """A slide's pixels. Reading is safe from several threads."""

    @property
    def dimensions(self) -> SizePx: ...
    @property
    def level_downsamples(self) -> tuple[float, ...]: ...
    def read(self, region: Region0, size: SizePx) -> Rgb:
        """Return a level-0 box as uint8 (height, width, 3) of `size`; white beyond the slide.

        Raise RegionUnreadable where the file is damaged; other boxes can still be read.
        """
        ...

    def close(self) -> None: ...


class StoredSlide(Protocol):
    """What is known of a slide whose file is read: a row of the catalogue."""

    @property
    def sha256(self) -> str: ...
    @property
    def derived_key(self) -> str | None: ...
    @property
    def counts_from_bounds(self) -> bool: ...
    @property
    def colours_are_srgb(self) -> bool: ...
    @property
    def damaged_tiles(self) -> list[list[int]]: ...


class OpenSlideReader:
    """OpenSlide behind the protocol. A damaged tile spoils a handle for ever, so it is reopened.

    bounded: the scanned part is the slide. Not so for rows that were made when the whole canvas was
    (Slide.counts_from_bounds). srgb: the file's colour profile is followed; not so for rows that
    were made when it was not (Slide.colours_are_srgb). damaged: tiles that are not read.
    """

    def __init__(
        self,
        path: Path,
        *,
        bounded: bool = True,
        srgb: bool = True,
        damaged: tuple[DamagedTile, ...] = (),
    ) -> None:
        self.path = path
        self.damaged = damaged
        self._lock = threading.Lock()
        self._stored: StoredTiles | None = None
        self._handle = self._open()
        self.has_odd_profile = False
        self._to_srgb: ToSrgb | None = self._colours() if srgb else None
        self.properties: dict[str, str] = dict(self._handle.properties)
        canvas: SizePx = self._handle.dimensions
        self.bounds = bounds_of(self.properties, canvas) if bounded else Bounds(0, 0, *canvas)
        self.dimensions: SizePx = self.bounds.size
        self.level_downsamples: tuple[float, ...] = self._handle.level_downsamples
        self.canvas_dimensions: tuple[SizePx, ...] = self._handle.level_dimensions
        self.level_dimensions: tuple[SizePx, ...] = tuple(
            (math.ceil(self.bounds.width / step), math.ceil(self.bounds.height / step))
            for step in self.level_downsamples
        )

    def _open(self) -> openslide.OpenSlide:
        try:
            with self.path.open("rb") as file:
                head = file.read(HEAD_BYTES)
            # an unpacked archive may hold what is refused when it comes alone
            if not head.startswith(TIFF):
                vendor_of(self.path, head)
            handle = openslide.OpenSlide(self.path)
            handle.set_cache(tile_cache(get_settings().tile_cache_bytes))
        except (openslide.OpenSlideError, OSError) as error:
            complaint = error.strerror if isinstance(error, OSError) else error
            raise SlideUnreadable(
                f"The slide file can't be opened ({complaint}). It may be damaged or of a kind "
                "that is not supported; copy it again from the scanner, or export it anew."
            ) from error
        return handle

    def _colours(self) -> ToSrgb | None:
        """Return what brings the file's pixels to sRGB; an odd profile is noted, not followed."""
        try:
            check_size(int(self._handle.properties.get(ICC_SIZE, 0)))
            profile = self._handle.color_profile
            return to_srgb(profile.tobytes() if profile else None)
        except (ProfileUnusable, OSError, ValueError, ImageCms.PyCMSError):
            self.has_odd_profile = True
        except openslide.OpenSlideError:
            self.has_odd_profile = True
            self._handle = self._open()
        return None

    def read(self, region: Region0, size: SizePx) -> Rgb:
        return drawn(region.moved(*self.bounds.corner), size, self.level_downsamples, self._pixels)

    def _pixels(self, location0: tuple[int, int], level: int, size: SizePx) -> Rgb:
        x, y = location0[0] - self.bounds.x, location0[1] - self.bounds.y
        step = self.level_downsamples[level]
        left, top = location0[0] / step, location0[1] / step
        if self.is_damaged(level, left, top, *size):
            raise RegionUnreadable(f"The file is damaged at x {x}, y {y}.")
        handle = self._handle
        try:
            pixels = over_glass(np.asarray(handle.read_region(location0, level, size)))
        except (openslide.OpenSlideError, OSError) as error:
            with self._lock:
                if self._handle is handle:
                    self._handle = self._open()
            raise RegionUnreadable(f"The file is damaged at x {x}, y {y}: {error}.") from error
        return self._to_srgb(pixels) if self._to_srgb else pixels

    @cached_property
    def stored(self) -> StoredTiles:
        """The tiles of the file itself, for pictures; looked for once, whoever asks at once."""
        with self._lock:
            if self._stored is None:
                vendor = self.properties.get("openslide.vendor", "")
                self._stored = StoredTiles(self.path, vendor, self.canvas_dimensions)
            return self._stored

    @property
    def follows_profile(self) -> bool:
        return self._to_srgb is not None

    def is_damaged(self, level: int, x: float, y: float, width: int, height: int) -> bool:
        """Say whether a box of a level, from the canvas' corner, has a pixel of a damaged tile."""
        return any(tile.meets(level, x, y, width, height) for tile in self.damaged)

    @property
    def damaged_regions(self) -> list[Region0]:
        """The damaged tiles of the finest level, as boxes of the slide."""
        corner_x, corner_y = self.bounds.corner
        return [
            Region0(tile.x - corner_x, tile.y - corner_y, tile.width, tile.height)
            for tile in self.damaged
            if tile.level == 0
        ]

    def close(self) -> None:
        self._handle.close()


def over_glass(rgba: Rgb) -> Rgb:
    """Lay RGBA pixels (h, w, 4) over white glass: (h, w, 3)."""
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if alpha.size and alpha.min() == GLASS:
        return rgb
    weight = alpha[..., None].astype(np.uint16)
    mixed = (rgb * weight + GLASS * (GLASS - weight) + GLASS // 2) // GLASS
    return mixed.astype(np.uint8)


def slide_path(slide: StoredSlide, settings: Settings) -> Path:
    """Return the file that is read for a slide: its derived one, else the blob itself."""
    if slide.derived_key:
        return settings.slide_folder / slide.derived_key
    return Blobs(settings.blob_folder).path(slide.sha256)


def open_slide(slide: StoredSlide, settings: Settings) -> OpenSlideReader:
    """Open a slide; the caller closes it. Raise SlideUnreadable."""
    return OpenSlideReader(slide_path(slide, settings), **manner(slide))


class Manner(TypedDict):
    """How a file is read (OpenSlideReader)."""

    bounded: bool
    srgb: bool
    damaged: tuple[DamagedTile, ...]


def manner(slide: StoredSlide) -> Manner:
    """Return how a slide's file is read: as it was when it was measured first."""
    return {
        "bounded": slide.counts_from_bounds,
        "srgb": slide.colours_are_srgb,
        "damaged": tiles_of(slide.damaged_tiles),
    }


def read_patches(reader: SlideReader, regions: Sequence[Region0], patch_px: int) -> Rgb:
    """Read boxes one by one as uint8 (B, patch_px, patch_px, 3); raise RegionUnreadable."""
    out = np.empty((len(regions), patch_px, patch_px, 3), np.uint8)
    for index, region in enumerate(regions):
        out[index] = reader.read(region, (patch_px, patch_px))
    return out


class OpenSlides:
    """A bounded, thread-safe cache of open slides, for tiles.

    What is pushed out is not closed here: another thread may be reading it. Its handle closes
    when the last reader lets go.
    """

    def __init__(self, most: int = MAX_OPEN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[Any, ...], OpenSlideReader] = OrderedDict()

    def of(self, slide: StoredSlide, settings: Settings) -> OpenSlideReader:
        """Return a slide, open. Raise SlideUnreadable."""
        return self.get(slide_path(slide, settings), **manner(slide))

    def get(
        self,
        path: Path,
        *,
        bounded: bool = True,
        srgb: bool = True,
        damaged: tuple[DamagedTile, ...] = (),
    ) -> OpenSlideReader:
        """Return the open slide of a file; a file that was rebuilt is opened anew."""
        try:
            facts = path.stat()
        except FileNotFoundError:
            raise SlideUnreadable("The slide's file is gone from the server's disk.") from None
        key = (str(path), facts.st_mtime_ns, facts.st_size, bounded, srgb, damaged)
        # a dictionary's own steps are whole ones: no lock for what is asked for every tile
        known = self._open.get(key)
        if known is not None:
            with suppress(KeyError):
                self._open.move_to_end(key)
            return known
        reader = OpenSlideReader(path, bounded=bounded, srgb=srgb, damaged=damaged)
        with self._lock:
            reader = self._open.setdefault(key, reader)
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return reader

    def forget(self, path: Path) -> None:
        with self._lock:
            for key in [key for key in self._open if key[0] == str(path)]:
                del self._open[key]

    def __len__(self) -> int:
        return len(self._open)


open_slides = OpenSlides()
"""The open slides of this process."""


def blocks(width: int, height: int, side: int) -> Iterator[Region0]:
    """Yield boxes of at most `side` px that tile an area, row by row."""
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield Region0(x, y, min(side, width - x), min(side, height - y))
