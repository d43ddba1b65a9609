"""Files of fields and slides as the commands of HER2 read them: pixels, mask, regions."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openslide
import shapely

from backend.regions import geojson
from backend.regions.geojson import RegionInvalid
from backend.slides.geometry import Region0
from backend.slides.reader import OpenSlideReader
from models.her2.pixels import ANALYSIS_MPP, Field, MaskArrays, Regions, scaled
from models.prediction import Predictor
from models.study.dataset import as_mask, as_pixels, opened, pictures
from worker.commands.options import Refused

Rgb = npt.NDArray[np.uint8]
MOST_PIXELS = 120_000_000
"""Of a whole picture in memory; larger slides are for the service, which reads them in tiles."""
SURE = 0.5
GEOJSON = (".geojson", ".json")


@dataclass(frozen=True)
class Picture:
    """An image file: RGB (H, W, 3), µm per pixel if known, and the file's sha256."""

    path: Path
    pixels: Rgb
    mpp: float | None
    sha256: str


def read_picture(path: Path, mpp: float | None) -> Picture:
    """Read a field or a small slide. `mpp` is the person's word and goes before the file's."""
    if not path.is_file():
        raise Refused(f"There is no file {path}.", code="image_missing")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if openslide.OpenSlide.detect_format(path) is None:
        return Picture(path, as_pixels(opened(path), path), mpp, digest)
    reader = OpenSlideReader(path)
    try:
        width, height = reader.dimensions
        if width * height > MOST_PIXELS:
            raise Refused(
                f"{path.name} has {width} × {height} px: too many for one picture. Upload it, "
                "and the service scores it in tiles.",
                code="image_too_large",
            )
        said = reader.properties.get("openslide.mpp-x")
        pixels = reader.read(Region0(0, 0, width, height), (width, height))
    finally:
        reader.close()
    known = mpp or (float(said) if said else None)
    return Picture(path, np.ascontiguousarray(pixels), known, digest)


def mask_of(picture: Picture, folder: Path, positive: str) -> npt.NDArray[np.bool_]:
    """Read the picture's mask from a folder, by the file's name without its ending."""
    masks = pictures(folder)
    stem = picture.path.name.split(".")[0]
    found = masks.get(picture.path.stem) or masks.get(stem)
    if found is None:
        raise Refused(f"{folder} has no mask for {picture.path.name}.", code="mask_missing")
    mask = as_mask(np.asarray(opened(found)), positive, found)
    if mask.shape != picture.pixels.shape[:2]:
        raise Refused(
            f"{found.name} is {mask.shape[1]} × {mask.shape[0]} px, its image "
            f"{picture.pixels.shape[1]} × {picture.pixels.shape[0]}.",
            code="mask_mismatch",
        )
    return np.asarray(mask > 0)


def regions_in(picture: Picture, path: Path) -> tuple[Regions, str]:
    """Read a picture's tumour, less what is excluded, and the file's sha256.

    A GeoJSON file in the picture's px, or a folder of such files by the picture's name. As with a
    whole picture a rim is left out: cells there have no whole contour.
    """
    from worker.her2.slide import regions_of

    found = geojson_of(picture, path) if path.is_dir() else path
    try:
        content = found.read_bytes()
        height, width = picture.pixels.shape[:2]
        drawn = geojson.parse(json.loads(content), width=width, height=height)
    except OSError as error:
        raise Refused(
            f"{found} can't be read: {error.strerror}.", code="regions_missing"
        ) from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{found.name} is no GeoJSON: {error}.", code="not_geojson") from error
    except RegionInvalid as error:
        raise Refused(f"{found.name}: {error.detail}", code=error.problem_code) from error
    assert picture.mpp is not None, "what has no pixel size is not measured"
    whole = Regions.whole(Field(picture.pixels, picture.mpp))
    inside = shapely.intersection(regions_of(drawn).tumour, whole.tumour)
    return Regions.of([inside]), hashlib.sha256(content).hexdigest()


def geojson_of(picture: Picture, folder: Path) -> Path:
    name = picture.path.name
    stems = dict.fromkeys((name, picture.path.stem, name.split(".")[0]))
    for path in (folder / f"{stem}{suffix}" for stem in stems for suffix in GEOJSON):
        if path.is_file():
            return path
    raise Refused(f"{folder} has no regions for {name}.", code="regions_missing")


def predicted(field: Field, predictor: Predictor) -> MaskArrays:
    """Return what a predictor takes for membrane at the analysis' resolution."""
    from models.inference.regions import predict_region

    width, height = (scaled(n, field.mpp, ANALYSIS_MPP) for n in (field.width, field.height))
    image = field.read(0, 0, width, height, ANALYSIS_MPP)
    probability = predict_region(predictor, image).probability[0]
    membrane = probability >= SURE
    likely = np.rint(probability * 255).astype(np.uint8)
    return MaskArrays(membrane, np.zeros_like(membrane), likely)


def predictor_of(model: Path | None) -> Predictor:
    """Return the predictor of a weights file, or the stain rule that needs none."""
    if model is None:
        from models.cold_start import ColdStart

        return ColdStart()
    if not model.is_file():
        raise Refused(f"There is no file {model}.", code="model_missing")
    from models.inference.choice import load

    found: Any = load(model, threads=1)
    return found  # type: ignore[no-any-return]
