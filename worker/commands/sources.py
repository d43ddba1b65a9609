"""Which pictures a command reads, and where their masks come from: files, or what draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.her2.scores.detector import Mounted, chosen
from models.prediction import Predictor
from models.study.files import check_positive, pictures
from worker.commands.mask_files import stems_of
from worker.commands.options import OptionRefused, Refused
from worker.commands.weights import drawing

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs", ".scn", ".bif"}


@dataclass(frozen=True)
class Source:
    """Where masks come from: files by stem, or a predictor; and what of a picture is tumour.

    whole: somebody says that all of it is; without that and without regions nobody has said.
    """

    masks: Mapping[str, Path] | None
    positive: str
    predictor: Predictor | None
    regions: Path | None = None
    weights_sha256: str | None = None
    detector: Mounted | None = None
    whole: bool = False

    @property
    def words(self) -> str:
        return "files" if self.predictor is None else self.predictor.backend

    @property
    def frozen_detector(self) -> dict[str, Any] | None:
        """Which detector finds the nuclei; None is the built-in rule."""
        return self.detector.frozen() if self.detector else None


def source_of(
    mask: Path | None,
    positive: str,
    model: Path | None,
    *,
    proposal: bool,
    regions: Path | None = None,
    detector: str = "",
    whole: bool = False,
) -> Source:
    if whole and regions is not None:
        raise OptionRefused(
            "Say either --regions or --whole: what is tumour, or that all of it is."
        )
    if (mask is not None) + (model is not None) + proposal != 1:
        raise OptionRefused(
            "Say where the masks come from: --mask FOLDER, --model FILE or --proposal."
        )
    check_positive(positive)
    nuclei = chosen(detector)
    if mask is not None:
        return Source(pictures(mask), positive, None, regions, None, nuclei, whole)
    drawn = drawing(model)
    return Source(None, positive, drawn.predictor, regions, drawn.weights_sha256, nuclei, whole)


def files_of(given: list[Path]) -> list[Path]:
    """Return the files, and those in the folders, that look like images."""
    files: list[Path] = []
    for path in given:
        inside = sorted(each for each in path.iterdir()) if path.is_dir() else [path]
        files += [each for each in inside if each.suffix.lower() in SUFFIXES or each == path]
    if given and not files:
        raise Refused("There is no image in these folders.", code="images_missing")
    return files


def check_names(paths: list[Path], source: Source) -> None:
    """Refuse two pictures of one name: one's files, mask or regions would be taken for both.

    Likewise one file of regions for several pictures.
    """
    if source.regions and not source.regions.is_dir() and len(paths) > 1:
        raise OptionRefused(
            f"{source.regions.name} is of one picture, and these are {len(paths)}: give a folder "
            "of GeoJSON files by their names."
        )
    by_folder = source.masks is not None or (source.regions and source.regions.is_dir())
    by_name: dict[str, Path] = {}
    for path in paths:
        name = stems_of(path)[-1] if by_folder else path.name
        other = by_name.setdefault(name, path)
        if other is not path:
            raise Refused(
                f"{other} and {path} have one name, by which their masks and results are told "
                "apart: rename one, or score the folders one after the other.",
                code="name_twice",
            )
