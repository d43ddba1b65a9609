"""A picture as the files of two scanners: MIRAX of many files in a zip, and Leica SCN.

Written as OpenSlide reads them (openslide-vendor-mirax.c, openslide-vendor-leica.c): as small as
they may be, without what a scanner adds for itself.
"""

import io
import struct
import zipfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Rgb = npt.NDArray[np.uint8]
TILE = 256
LEVELS = 3
SLIDE_ID = "0123456789ABCDEF"
INDEX_VERSION = "01.02"
MACRO = (255, 0, 255)
"""The colour of the picture of the glass with its label, which nobody may be shown."""


def halved(image: Rgb, level: int) -> Rgb:
    height, width = (side >> level for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def tiles(image: Rgb) -> Iterator[tuple[int, int, bytes]]:
    """Yield column, row and JPEG of each whole tile."""
    for row in range(image.shape[0] // TILE):
        for column in range(image.shape[1] // TILE):
            part = image[row * TILE :, column * TILE :][:TILE, :TILE]
            packed = io.BytesIO()
            Image.fromarray(part).save(packed, "JPEG", quality=95, subsampling=0)
            yield column, row, packed.getvalue()


def mirax_zip(
    image: Rgb, mpp: float, name: str = "HER2 case 7", *, left: int = 0, top: int = 0
) -> bytes:
    """Return a zip with the slide file and its folder; sides are multiples of four tiles.

    Every level lies in a data file of its own, as on slides that are too large for one. What was
    scanned lies `left`, `top` px (multiples of four tiles) inside a canvas as much larger.
    """
    first_column, first_row = left // TILE, top // TILE
    across, down = image.shape[1] // TILE + 2 * first_column, image.shape[0] // TILE + 2 * first_row
    pages, data = [], {}
    for level in range(LEVELS):
        content, entries = b"header", []
        for column, row, jpeg in tiles(halved(image, level)):
            number = (first_row + (row << level)) * across + first_column + (column << level)
            entries.append(struct.pack("<4i", number, len(content), len(jpeg), level))
            content += jpeg
        data[f"Data{level:04}.dat"] = content
        pages.append(struct.pack("<2i", len(entries), 0) + b"".join(entries))
    folder = {"Slidedat.ini": slidedat(across, down, mpp), "Index.dat": index(pages), **data}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{name}.mrxs", b"")
        for file, content in folder.items():
            archive.writestr(f"{name}/{file}", content)
    return packed.getvalue()


def index(pages: list[bytes]) -> bytes:
    """Return Index.dat: each level's pointer leads to an empty page and on to its tiles."""
    head = (INDEX_VERSION + SLIDE_ID).encode()
    table = len(head) + 8
    at = table + 4 * len(pages)
    pointers, body = b"", b""
    for page in pages:
        start = at + len(body)
        pointers += struct.pack("<i", start)
        body += struct.pack("<2i", 0, start + 8) + page
    return head + struct.pack("<2i", table, 0) + pointers + body


def slidedat(across: int, down: int, mpp: float) -> bytes:
    groups = {
        "GENERAL": {
            "SLIDE_VERSION": INDEX_VERSION,
            "SLIDE_ID": SLIDE_ID,
            "IMAGENUMBER_X": across,
            "IMAGENUMBER_Y": down,
            "OBJECTIVE_MAGNIFICATION": 40,
        },
        "HIERARCHICAL": {
            "HIER_COUNT": 1,
            "NONHIER_COUNT": 0,
            "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level",
            "HIER_0_COUNT": LEVELS,
            **{f"HIER_0_VAL_{level}_SECTION": f"LEVEL_{level}" for level in range(LEVELS)},
        },
        "DATAFILE": {
            "FILE_COUNT": LEVELS,
            **{f"FILE_{level}": f"Data{level:04}.dat" for level in range(LEVELS)},
        },
    }
    for level in range(LEVELS):
        groups[f"LEVEL_{level}"] = {
            "OVERLAP_X": 0,
            "OVERLAP_Y": 0,
            "MICROMETER_PER_PIXEL_X": mpp * 2**level,
            "MICROMETER_PER_PIXEL_Y": mpp * 2**level,
            "IMAGE_FORMAT": "JPEG",
            "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "DIGITIZER_WIDTH": TILE,
            "DIGITIZER_HEIGHT": TILE,
            "IMAGE_CONCAT_FACTOR": min(level, 1),
        }
    lines = [
        f"[{group}]\r\n" + "".join(f"{key} = {value}\r\n" for key, value in entries.items())
        for group, entries in groups.items()
    ]
    return b"\xef\xbb\xbf" + "".join(lines).encode()


def leica_scn(image: Rgb, mpp: float, *, left: int, top: int) -> bytes:
    """Return an SCN: a scanned area that lies `left`, `top` px inside a glass twice as large.

    The first directory is the picture of the whole glass, with its label.
    """
    height, width = image.shape[:2]
    levels = [halved(image, level) for level in range(LEVELS)]
    glass = np.full((2 * TILE, 2 * TILE, 3), MACRO, np.uint8)
    nanometres = round(1000 * mpp)
    packed = io.BytesIO()
    with tifffile.TiffWriter(packed, bigtiff=True) as writer:
        for number, pixels in enumerate([glass, *levels]):
            scale = 2 ** max(number - 1, 0)
            writer.write(
                pixels,
                tile=(TILE, TILE),
                photometric="rgb",
                description=scn_xml(width, height, nanometres, left, top) if not number else None,
                metadata=None,
                resolution=(1e4 / (mpp * scale),) * 2,
                resolutionunit="CENTIMETER",
            )
    return packed.getvalue()


def scn_xml(width: int, height: int, nanometres: int, left: int, top: int) -> str:
    across, down = 2 * width * nanometres, 2 * height * nanometres
    dimensions = "".join(
        f'<dimension sizeX="{width >> level}" sizeY="{height >> level}" r="{level}" '
        f'ifd="{level + 1}"/>'
        for level in range(LEVELS)
    )
    scanned = (
        f'<view sizeX="{width * nanometres}" sizeY="{height * nanometres}" '
        f'offsetX="{left * nanometres}" offsetY="{top * nanometres}" spacingZ="0"/>'
    )
    settings = (
        "<scanSettings><objectiveSettings><objective>{}</objective></objectiveSettings>"
        "<illuminationSettings><illuminationSource>brightfield</illuminationSource>"
        "</illuminationSettings></scanSettings>"
    )
    return (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="slide" sizeX="{across}" sizeY="{down}"><barcode>SECRET</barcode>'
        '<image name="macro"><device model="Leica SCN400"/>'
        f'<pixels sizeX="{2 * TILE}" sizeY="{2 * TILE}">'
        f'<dimension sizeX="{2 * TILE}" sizeY="{2 * TILE}" r="0" ifd="0"/></pixels>'
        f'<view sizeX="{across}" sizeY="{down}" offsetX="0" offsetY="0" spacingZ="0"/>'
        f"{settings.format('0.6')}</image>"
        f'<image name="scan"><device model="Leica SCN400"/>'
        f'<pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>'
        f"{scanned}{settings.format('40')}</image></collection></scn>"
    )
