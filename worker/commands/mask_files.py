"""What lies beside a picture by its name: a mask of its membranes, polygons of its regions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from backend.cli import complain
from backend.her2.regions import geojson
from backend.kit.outlines import OutlineInvalid
from backend.kit.storage.blobs import file_sha256
from models.her2.pixels import Field, Regions
from models.study import files
from models.study.files import opened
from worker.commands.image_files import Picture
from worker.commands.options import Refused
from worker.layout import TURNED_UPRIGHT

Bool = npt.NDArray[np.bool_]
GEOJSON = (".geojson", ".json")


def stems_of(path: Path) -> tuple[str, ...]:
    """Return the names under which a picture's mask or regions may lie; OME has two endings."""
    return tuple(dict.fromkeys((path.stem, path.stem.removesuffix(".ome"))))


@dataclass(frozen=True)
class Mask:
    """A picture's mask file: bool (H, W) each, where membrane is and where nobody knows."""

    membrane: Bool
    unknown: Bool
    sha256: str


def mask_of(picture: Picture, masks: Mapping[str, Path], positive: str) -> Mask:
    """Read the picture's mask among files by their stems.

    With the usual 255 it holds nothing but 0, 127 and 255: a mask that marks membrane by another
    value would have none, and a strong case would be scored 0.
    """
    stems = stems_of(picture.path)
    file = next((masks[stem] for stem in stems if stem in masks), None)
    if file is None:
        raise Refused(f"There is no mask for {picture.path.name}.", code="mask_missing")
    mask = files.mask_of(opened(file), positive, file, binary=True)
    height, width = picture.pixels.shape[:2]
    if mask.shape != (height, width):
        turned = ". The image is stored turned: masks fit it as it is shown, upright"
        raise Refused(
            f"{file.name} is {mask.shape[1]} × {mask.shape[0]} px, its image {width} × {height}"
            f"{turned if TURNED_UPRIGHT in picture.qc else ''}.",
            code="mask_mismatch",
        )
    return Mask(mask == files.MEMBRANE, mask == files.IGNORE, file_sha256(file))


def area_of(inside: Bool) -> shapely.Geometry:
    """Return the pixels of a picture, bool (H, W), as polygons in its px."""
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).view(np.int8), axis=1)
    (top, left), (_, right) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    return shapely.union_all(shapely.box(left, top, right, top + 1))


def regions_in(picture: Picture, path: Path) -> tuple[Regions, str]:
    """Read a picture's tumour, less what is excluded, and the file's sha256.

    A GeoJSON file in the picture's px, or a folder of such files by the picture's name. As with a
    whole picture a rim is left out: cells there have no whole contour.
    """
    from worker.her2.slide import regions_of

    file = geojson_of(picture, path) if path.is_dir() else path
    try:
        content = file.read_bytes()
        height, width = picture.pixels.shape[:2]
        polygons, left = geojson.parse(json.loads(content), width=width, height=height)
    except OSError as error:
        raise Refused(f"{file} can't be read: {error.strerror}.", code="regions_missing") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{file.name} is no GeoJSON: {error}.", code="not_geojson") from error
    except OutlineInvalid as error:
        raise Refused(f"{file.name}: {error.detail}", code=error.problem_code) from error
    if left:
        listed = ", ".join(f"{name} ({number})" for name, number in left.items())
        complain(f"{file.name}: no regions, and left: {listed}")
    assert picture.mpp is not None, "what has no pixel size is not measured"
    field = Field(picture.pixels, picture.mpp)
    return regions_of(polygons, field), hashlib.sha256(content).hexdigest()


def geojson_of(picture: Picture, folder: Path) -> Path:
    names = (picture.path.name, *stems_of(picture.path))
    for path in (folder / f"{name}{suffix}" for name in names for suffix in GEOJSON):
        if path.is_file():
            return path
    raise Refused(f"{folder} has no regions for {picture.path.name}.", code="regions_missing")
