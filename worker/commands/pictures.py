"""Files of fields and slides as the commands of HER2 read them: pixels, mask, regions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import openslide
import shapely

from backend.cli import complain
from backend.her2.regions import geojson
from backend.her2.regions.geojson import RegionInvalid
from backend.kit.geometry import Region0
from backend.slides.reading import pixel_kinds
from backend.slides.reading.reader import OpenSlideReader, SlideUnreadable
from models.her2.pixels import ANALYSIS_MPP, Field, MaskArrays, Regions, scaled
from models.prediction import Predictor
from models.study import files
from models.study.files import DEEP, as_pixels, opened
from worker.commands.options import OptionRefused, Refused
from worker.layout import CODES, TURNED_UPRIGHT, Layout, is_plain, layout_of, look_at, shown_by
from worker.pixel_size import PixelSize, pixel_size
from worker.plain_pictures import in_srgb, look_into, rgb_of
from worker.silent_damage import check_tiles

if TYPE_CHECKING:
    from models.inference.calibration import Calibration, Precision

Rgb = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
MOST_PIXELS = 120_000_000
"""Of a whole picture in memory; larger slides are for the service, which reads them in tiles."""
SURE = 0.5
GEOJSON = (".geojson", ".json")


@dataclass(frozen=True)
class Picture:
    """An image file: RGB (H, W, 3) upright, µm per pixel if known, and the file's sha256.

    `doubt` says why the file's own pixel size was not taken; empty where it says none. `qc`: the
    service's flags for how the file was read.
    """

    path: Path
    pixels: Rgb
    mpp: float | None
    sha256: str
    doubt: str = ""
    qc: tuple[str, ...] = ()


def stated_size(mpp: float | None, said_by: str) -> float | None:
    """Return a person's µm per pixel. Refused for one that no microscope has."""
    from backend.slides.catalogue.schemas import COARSEST_UM, FINEST_UM, plausible

    if mpp is not None and not plausible(mpp):
        raise OptionRefused(
            f"{said_by} says {mpp:g} µm per pixel: a microscope's pixel size lies between "
            f"{FINEST_UM} and {COARSEST_UM:g} µm (0.25 for a 40× scan, 0.5 for 20×).",
            code="mpp_implausible",
        )
    return mpp


def read_picture(path: Path, mpp: float | None) -> Picture:
    """Read a field or a small slide as the service shows it: that picture, upright, that size.

    `mpp` is the person's word and goes before the file's. Raises Refused for what is no picture or
    too large, also once drawn at the working resolution.
    """
    stated_size(mpp, path.name)
    if not path.is_file():
        raise Refused(f"There is no file {path}.", code="image_missing")
    sha256 = sha256_of(path)
    vendor = openslide.OpenSlide.detect_format(path)
    pixel_kinds.check(path, vendor)
    pixel_kinds.check_brightfield(path)
    if vendor is None:
        return read_plain(path, mpp, sha256)
    if pixel_kinds.is_deep(path, vendor):
        raise Refused(DEEP.format(path), code="image_depth")
    reader = OpenSlideReader(path)
    try:
        reader.damaged = check_tiles(path, reader)
        layout = look_at(path, reader)
        size = size_for(path, mpp, reader, layout)
        width, height = reader.dimensions
        if layout and not shown_by(layout, reader):
            known = None if is_plain(reader) else layout
            layout, pixels = decoded(path, size, known)
        else:
            check_size(path, width, height, size.mpp)
            pixels = reader.read(Region0(0, 0, width, height), (width, height))
    finally:
        reader.close()
    qc = layout.qc if layout else ()
    return Picture(path, np.ascontiguousarray(pixels), size.mpp, sha256, size.doubt, qc)


def read_plain(path: Path, mpp: float | None, sha256: str) -> Picture:
    """Read what OpenSlide does not open: a field.

    Where there is a choice, of several pictures or of what transparency means, as ingest chooses.
    """
    layout = look_at_plain(path)
    size = size_for(path, mpp, None, layout)
    if layout is not None and (layout.count > 1 or layout.shown.spare):
        layout, pixels = decoded(path, size)
    else:
        picture = opened(path)
        pixels = in_srgb(as_pixels(picture, path), picture.info.get("icc_profile"))
        check_size(path, pixels.shape[1], pixels.shape[0], size.mpp)
    qc = layout.qc if layout else ()
    return Picture(path, pixels, size.mpp, sha256, size.doubt, qc)


def remark_on(picture: Picture) -> None:
    """Say how a picture was read, where that is more than its file's pixels as they lie."""
    for code in picture.qc:
        complain(f"{picture.path.name}: {CODES[code]}. ({code})")


def look_at_plain(path: Path) -> Layout | None:
    """Look into a plain picture; None for what the service does not take, which Pillow may."""
    try:
        return layout_of(path)
    except SlideUnreadable:
        return None


def decoded(path: Path, size: PixelSize, known: Layout | None = None) -> tuple[Layout, Rgb]:
    """Read a picture as the service converts it, upright, in this size of pixels.

    known: which picture it is, if a scanner has signed the file.
    """
    layout = known or look_into(path, most_pixels=MOST_PIXELS)
    check_size(path, *layout.size, size.mpp)
    return layout, rgb_of(path, layout, most_pixels=MOST_PIXELS)


def size_for(
    path: Path, mpp: float | None, reader: OpenSlideReader | None, layout: Layout | None
) -> PixelSize:
    """Return the person's pixel size; else the file's by the rule of ingest, or why not."""
    if mpp is not None:
        return PixelSize(mpp)
    properties = reader.properties if reader else None
    shown, description = (layout.shown, layout.description) if layout else (None, "")
    size = pixel_size(properties, shown, description)
    return replace(size, doubt=f"{path.name}: {size.doubt} Give --mpp." if size.doubt else "")


def check_size(path: Path, width: int, height: int, mpp: float | None) -> None:
    """Refuse a picture with too many pixels, in the file or at the working resolution."""
    if width * height > MOST_PIXELS:
        raise Refused(
            f"{path.name} has {width} × {height} px: too many for one picture. Upload it, "
            "and the service scores it in tiles.",
            code="image_too_large",
        )
    if mpp and width * height * (mpp / ANALYSIS_MPP) ** 2 > MOST_PIXELS:
        raise Refused(
            f"At {mpp:g} µm per pixel {path.name} shows {width * mpp / 1000:.1f} × "
            f"{height * mpp / 1000:.1f} mm: too much for one picture. Is the pixel size right? "
            "Then upload it, and the service scores it in tiles.",
            code="image_too_large",
        )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    found = next((masks[stem] for stem in stems if stem in masks), None)
    if found is None:
        raise Refused(f"There is no mask for {picture.path.name}.", code="mask_missing")
    mask = files.mask_of(opened(found), positive, found, binary=True)
    height, width = picture.pixels.shape[:2]
    if mask.shape != (height, width):
        turned = ". The image is stored turned: masks fit it as it is shown, upright"
        raise Refused(
            f"{found.name} is {mask.shape[1]} × {mask.shape[0]} px, its image {width} × {height}"
            f"{turned if TURNED_UPRIGHT in picture.qc else ''}.",
            code="mask_mismatch",
        )
    return Mask(mask == files.MEMBRANE, mask == files.IGNORE, sha256_of(found))


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

    found = geojson_of(picture, path) if path.is_dir() else path
    try:
        content = found.read_bytes()
        height, width = picture.pixels.shape[:2]
        drawn, left = geojson.parse(json.loads(content), width=width, height=height)
    except OSError as error:
        raise Refused(
            f"{found} can't be read: {error.strerror}.", code="regions_missing"
        ) from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{found.name} is no GeoJSON: {error}.", code="not_geojson") from error
    except RegionInvalid as error:
        raise Refused(f"{found.name}: {error.detail}", code=error.problem_code) from error
    if left:
        listed = ", ".join(f"{name} ({number})" for name, number in left.items())
        complain(f"{found.name}: no regions, and left: {listed}")
    assert picture.mpp is not None, "what has no pixel size is not measured"
    field = Field(picture.pixels, picture.mpp)
    return regions_of(drawn, field), hashlib.sha256(content).hexdigest()


def geojson_of(picture: Picture, folder: Path) -> Path:
    names = (picture.path.name, *stems_of(picture.path))
    for path in (folder / f"{name}{suffix}" for name in names for suffix in GEOJSON):
        if path.is_file():
            return path
    raise Refused(f"{folder} has no regions for {picture.path.name}.", code="regions_missing")


def predicted(field: Field, predictor: Predictor) -> MaskArrays:
    """Return what a predictor takes for membrane at the analysis' resolution."""
    from models.inference.regions import predict_region

    width, height = (scaled(n, field.mpp, ANALYSIS_MPP) for n in (field.width, field.height))
    image = field.read(0, 0, width, height, ANALYSIS_MPP)
    probability = predict_region(predictor, image).probability[0]
    membrane = probability >= SURE
    likely = np.rint(probability * 255).astype(np.uint8)
    return MaskArrays(membrane, np.zeros_like(membrane), likely)


def predictor_of(model: Path | None, ranges: "Calibration | None" = None) -> Predictor:
    """Return the predictor of a weights file, or the stain rule that needs none.

    ranges: frozen with these weights; with them it predicts in eight bits.
    """
    if model is None:
        from models.cold_start import ColdStart

        return ColdStart()
    check_model(model)
    from models.inference.choice import load

    precision: Precision = "int8" if ranges else "f32"
    found: Any = load(model, threads=1, precision=precision, calibration=ranges)
    return found  # type: ignore[no-any-return]


def check_model(model: Path) -> None:
    if not model.is_file():
        raise Refused(f"There is no file {model}.", code="model_missing")
