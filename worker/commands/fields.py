"""Fields and small slides for the commands of HER2: which files, which masks, what is measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.prediction import Predictor
from worker.commands.options import Refused
from worker.commands.pictures import Picture, mask_of, predicted, predictor_of, regions_in

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs", ".scn", ".bif"}


@dataclass(frozen=True)
class Source:
    """Where masks come from: a folder of files, or a predictor; and regions, if not of it all."""

    folder: Path | None
    positive: str
    predictor: Predictor | None
    regions: Path | None = None

    @property
    def words(self) -> str:
        return "files" if self.predictor is None else self.predictor.backend


@contextmanager
def of_her2() -> Iterator[None]:
    """Turn what scoring refuses into the command line's errors."""
    from models.her2.calibrate import CalibrationError
    from models.her2.protocols import ProtocolError

    try:
        yield
    except ProtocolError as error:
        raise Refused(str(error), code="protocol") from error
    except CalibrationError as error:
        raise Refused(str(error), code="controls") from error


def source_of(
    mask: Path | None,
    positive: str,
    model: Path | None,
    *,
    proposal: bool,
    regions: Path | None = None,
) -> Source:
    if (mask is not None) + (model is not None) + proposal != 1:
        raise Refused(
            "Say where the masks come from: --mask FOLDER, --model FILE or --proposal.",
            code="wrong_option",
        )
    return Source(mask, positive, None if mask else predictor_of(model), regions)


def files_of(given: list[Path]) -> list[Path]:
    """Return the files, and those in the folders, that look like images."""
    found: list[Path] = []
    for path in given:
        inside = sorted(each for each in path.iterdir()) if path.is_dir() else [path]
        found += [each for each in inside if each.suffix.lower() in SUFFIXES or each == path]
    if given and not found:
        raise Refused("There is no image in these folders.", code="images_missing")
    return found


def prepared(picture: Picture, source: Source) -> tuple[Any, Any]:
    """Return a picture's pixels and masks as measuring reads them."""
    from models.her2.pixels import Field

    if picture.mpp is None:
        raise Refused(
            f"{picture.path.name} does not say how many µm a pixel has: give --mpp.",
            code="mpp_missing",
        )
    membrane = None
    if source.folder is not None:
        membrane = mask_of(picture, source.folder, source.positive)
    field = Field(picture.pixels, picture.mpp, membrane)
    return field, predicted(field, source.predictor) if source.predictor else field.masks


def measured(picture: Picture, rules: Any, source: Source, vectors: Any) -> Any:
    """Measure a control's cells; all of the picture is taken."""
    from models.her2.pixels import Regions
    from models.her2.tile import Settings
    from models.her2.tiles import measure

    field, masks = prepared(picture, source)
    settings = Settings(rules, vectors)
    return measure(field, masks, regions=Regions.whole(field), settings=settings).cells


def content_of(picture: Picture, rules: Any, source: Source, seed: int) -> tuple[Any, Any]:
    """Return a picture's score document and cells; without µm per pixel there are none."""
    from models.her2.calibrate import vectors_of
    from models.her2.cells import Cells
    from models.her2.connectivity import connectivity
    from models.her2.flags import Flag
    from models.her2.mask_doubt import flag_of, uncertain_share
    from models.her2.pixels import Regions
    from models.her2.quality import quality_flags
    from models.her2.slide_score import summarise
    from models.her2.tile import Settings
    from models.her2.tiles import measure

    if picture.mpp is None:
        cells = Cells.empty(1.0)
        flags = [Flag("mpp_missing")]
        return summarise(cells.tile_counts(rules), rules, flags=flags, seed=seed), cells
    field, masks = prepared(picture, source)
    regions, drawn = Regions.whole(field), {}
    if source.regions is not None:
        regions, sha256 = regions_in(picture, source.regions)
        drawn = {"regions_sha256": sha256}
    found = measure(field, masks, regions=regions, settings=Settings(rules, vectors_of(rules)))
    content = summarise(
        found.cells.tile_counts(rules, regions=regions),
        rules,
        flags=(*quality_flags(found, regions), *flag_of(uncertain_share(field, masks, regions))),
        seed=seed,
        connectivity=connectivity(field, masks, regions),
    )
    content["evaluated_area_um2"] = round(float(regions.tumour.area) * picture.mpp**2, 2)
    return content | drawn, found.cells
