"""TIFF files of every kind of pixels, and damage in the middle of their data."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips
import tifffile

Pixels = npt.NDArray[np.generic]
SIDE = 512
TILE = 256


def tissue(side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Soft brown and blue spots on white, uint8 (side, side, 3): compresses as a slide does."""
    random = np.random.default_rng(7)
    field = pyvips.Image.new_from_array(random.integers(0, 2, (side, side, 1), np.uint8) * 255)
    dark = field.gaussblur(5).numpy().reshape(side, side).astype(float)
    share = np.clip((dark - dark.min()) / np.ptp(dark), 0, 1)[..., None]
    tissue: npt.NDArray[np.uint8] = (255 - share * np.array([95, 160, 205])).astype(np.uint8)
    return tissue


def written(path: Path, pixels: Pixels | None = None, **options: object) -> Path:
    """Write pixels by tifffile; tiled unless told otherwise. Without pixels: tissue."""
    options = {"tile": (TILE, TILE), **options}
    colours = "rgb" if pixels is None or pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(
        path,
        tissue() if pixels is None else pixels,
        **{"photometric": colours, "metadata": None, **options},
    )
    return path


def compressed(
    path: Path, compression: str, *, tile: bool = True, grey: bool = False, orientation: int = 1
) -> Path:
    """Write tissue by libvips with a compression that it has; the pixels lie as they are."""
    image = pyvips.Image.new_from_array(tissue()).copy(interpretation="srgb")
    if grey:
        image = image.colourspace("b-w")
    if orientation > 1:
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.tiffsave(
        str(path), compression=compression, tile=tile, tile_width=TILE, tile_height=TILE, Q=90
    )
    return path


def said(path: Path, **tags: object) -> Path:
    """Change what a file says of itself, by the names of TIFF's tags; its data stays."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value)
    return path


def damaged(path: Path, *, at: float = 0.5, count: int = 20) -> Path:
    """Flip bits in the middle of a file's middle tile or strip."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        middle = len(page.dataoffsets) // 2
        offset, length = page.dataoffsets[middle], page.databytecounts[middle]
    data = bytearray(path.read_bytes())
    for number in range(count):
        data[offset + int(length * at) + 3 * number] ^= 0x55
    path.write_bytes(data)
    return path


def broken(path: Path, how: str) -> Path:
    """Break a file's middle tile or strip: `missing`, cut `short`, or `junk` in its midst."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        page = file.pages[0]
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
        middle = len(offsets) // 2
        if how == "junk":
            file.filehandle.seek(offsets[middle] + counts[middle] // 2)
            file.filehandle.write(b"\xff\x00\xaa" * 40)
            return path
        counts[middle] = 0 if how == "missing" else counts[middle] // 2
        offsets[middle] = 0 if how == "missing" else offsets[middle]
        kind = "Tile" if page.is_tiled else "Strip"
        page.tags[f"{kind}Offsets"].overwrite(offsets)
        page.tags[f"{kind}ByteCounts"].overwrite(counts)
    return path
