"""Fields and small slides scored for the commands: cells measured, categories, provenance."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.cli import complain, sentence_of
from backend.kit.errors import MembranaError
from worker.commands.image_files import Picture
from worker.commands.mask_files import area_of, mask_of, regions_in
from worker.commands.options import OptionRefused, Refused, in_words
from worker.commands.sources import Source
from worker.commands.weights import predicted

TISSUE_MPP = 0.5
WHOLE = (
    "The whole picture was taken for invasive tumour: every nucleus that was found counts, that of "
    "stroma, lymphocytes and normal ducts, too."
)
REGIONS = "The regions given; cells outside are not counted."
NO_REGION = (
    "Nobody has said what is invasive tumour, so there is no category: every nucleus that was "
    "found is counted, that of stroma, lymphocytes and normal ducts, too. Give --regions, or "
    "--whole if the picture shows tumour alone."
)
Trouble = dict[str, str]
"""What became of a picture: image, code, detail."""


@dataclass(frozen=True)
class Prepared:
    """A picture as measuring reads it.

    mask_sha256: of the file that its mask is from, if any; unknown: level-0 polygons of what that
    mask leaves open.
    """

    field: Any
    masks: Any
    mask_sha256: str | None
    unknown: Any
    detector: Any


@dataclass(frozen=True)
class PictureScore:
    """A picture's score document with its provenance, its cells, and the membrane they stand on.

    `membrane`: bool (H, W) at the analysis' resolution; None where nothing was measured. `regions`:
    what was taken for tumour; None where that is all of the picture.
    """

    document: dict[str, Any]
    cells: Any
    membrane: npt.NDArray[np.bool_] | None
    regions: Any = None


@contextmanager
def of_her2() -> Iterator[None]:
    """Turn what scoring refuses into the command line's errors."""
    from models.her2.calibrate import CalibrationError
    from models.her2.protocols import CalibrationInvalid, ProtocolError

    try:
        yield
    except CalibrationInvalid as error:
        raise Refused(str(error), code="calibration_invalid") from error
    except ProtocolError as error:
        raise OptionRefused(str(error), code="protocol") from error
    except CalibrationError as error:
        raise Refused(str(error), code="controls") from error


@contextmanager
def going_on(name: str, failed: Callable[[Trouble], None]) -> Iterator[None]:
    """Let one picture's trouble stop no other: it is told at once, and to `failed`."""
    try:
        with in_words(), of_her2():
            yield
    except MembranaError as error:
        detail, code = error.detail, error.problem_code
    except Exception as error:
        if os.environ.get("MEMBRANA_TRACE"):
            raise
        detail, code = sentence_of(error), "internal_error"
    else:
        return
    complain(f"{name}: {detail} ({code})")
    failed({"image": name, "code": code, "detail": detail})


def rules_of(
    protocol: str, calibration: Path | None, gap: str | None, *, merge_zero_plus: bool
) -> Any:
    """Return the protocol with the laboratory's thresholds and choices; `of_her2` has its words."""
    from models.her2.protocols import load

    if calibration is not None and not calibration.is_file():
        raise Refused(f"There is no file {calibration}.", code="calibration_missing")
    merge = merge_zero_plus or None  # left out, the protocol's own choice stands
    return load(protocol, calibration=calibration, gap=gap, merge_zero_plus=merge)


def prepared(picture: Picture, source: Source) -> Prepared:
    """Return a picture's pixels and masks as measuring reads them."""
    from models.her2.pixels import Field

    if picture.mpp is None:
        raise Refused(
            picture.doubt
            or f"{picture.path.name} does not say how many µm a pixel has: give --mpp.",
            code="mpp_missing",
        )
    if source.masks is None:
        assert source.predictor is not None, "masks come from files or from a predictor"
        field = Field(picture.pixels, picture.mpp)
        masks = predicted(field, source.predictor)
        return Prepared(field, masks, None, None, detector_for(source))
    mask = mask_of(picture, source.masks, source.positive)
    field = Field(picture.pixels, picture.mpp, mask.membrane)
    unknown = area_of(mask.unknown)
    return Prepared(field, field.masks, mask.sha256, unknown, detector_for(source))


def known_in(regions: Any, ready: Prepared) -> Any:
    """Return regions less what the picture's mask leaves open: nothing is counted there."""
    from models.her2.pixels import Regions

    return regions if ready.unknown is None else Regions.of([regions.tumour], [ready.unknown])


def measured(ready: Prepared, rules: Any, vectors: Any) -> Any:
    """Measure a control's cells; all of the picture is taken."""
    from models.her2.pixels import Regions
    from models.her2.tile import Settings
    from models.her2.tiles import measure

    settings = Settings(rules, vectors)
    regions = known_in(Regions.whole(ready.field), ready)
    return measure(
        ready.field, ready.masks, regions=regions, settings=settings, detector=ready.detector
    ).cells


def detector_for(source: Source) -> Any:
    """Load the source's detector for one picture; None is the built-in one."""
    if source.detector is None:
        return None
    from worker.her2.detector import detector

    return detector(source.detector)


def score_picture(picture: Picture, rules: Any, source: Source) -> PictureScore:
    """Score a picture; without µm per pixel there are no cells and no category."""
    from models.her2.calibrate import vectors_of
    from models.her2.cells import Cells
    from models.her2.connectivity import connectivity
    from models.her2.evaluated import tissue_mm2
    from models.her2.flags import Flag
    from models.her2.mask_doubt import flag_of, uncertain_share
    from models.her2.pixels import Regions
    from models.her2.quality import quality_flags
    from models.her2.slide_score import summarise
    from models.her2.tile import Settings
    from models.her2.tiles import measure
    from worker.her2.detector import calibration_flags
    from worker.her2.document import areas

    seed = int(picture.sha256[:8], 16)
    provenance = provenance_of(picture, source, seed)
    if picture.mpp is None:
        cells = Cells.empty(1.0)
        flags = [Flag("mpp_missing", picture.doubt)]
        content = summarise(cells.tile_counts(rules), rules, flags=flags, seed=seed)
        return PictureScore({**content, "provenance": provenance}, cells, None)
    ready = prepared(picture, source)
    field, masks = ready.field, ready.masks
    tumour, assumed = None, []
    if source.regions is None:
        assumed.append(
            Flag("whole_as_tumour", WHOLE) if source.whole else Flag("no_tumour_region", NO_REGION)
        )
    else:
        tumour, provenance["regions_sha256"] = regions_in(picture, source.regions)
    regions = known_in(tumour or Regions.whole(field), ready)
    measurement = measure(
        field,
        masks,
        regions=regions,
        settings=Settings(rules, vectors_of(rules)),
        detector=ready.detector,
    )
    content = summarise(
        measurement.cells.tile_counts(rules, regions=regions),
        rules,
        flags=(
            *quality_flags(measurement, regions),
            *flag_of(uncertain_share(field, masks, regions)),
            *calibration_flags(rules, source.frozen_detector),
            *assumed,
        ),
        seed=seed,
        connectivity=connectivity(field, masks, regions),
    )
    if content["reason"] == "no_tumour_region" and assumed:
        content["reason_text"] = NO_REGION
    provenance["mask_sha256"] = ready.mask_sha256
    area = tissue_mm2(measurement.survey.tissue, regions, picture.mpp)
    content |= areas(regions, picture.mpp, area)
    content |= {
        "tumour": assumed[0].detail if assumed else REGIONS,
        "membrane_percent_of_tissue": membrane_percent(field, masks.membrane),
        "provenance": provenance,
    }
    return PictureScore(content, measurement.cells, masks.membrane, tumour)


def provenance_of(picture: Picture, source: Source, seed: int) -> dict[str, Any]:
    """Say what a score was made from and with; a mask's and regions' sha256 come when read."""
    from worker.her2.detector import of_detector
    from worker.her2.measurement import software

    return {
        "image_sha256": picture.sha256,
        "mpp": picture.mpp,
        "masks": source.words,
        "weights_sha256": source.weights_sha256,
        "mask_sha256": None,
        "regions": "drawn, less a rim" if source.regions else "whole picture less a rim",
        "regions_sha256": None,
        **of_detector(source.frozen_detector),
        "seed": seed,
        "software": software(),
        **({"qc": list(picture.qc)} if picture.qc else {}),
    }


def membrane_percent(field: Any, membrane: npt.NDArray[np.bool_]) -> float | None:
    """Return how much of the picture's tissue is membrane, in percent of its area.

    What a negative control is judged by, even one with too few cells for a category. None where
    there is no tissue.
    """
    import cv2

    from models.her2.pixels import scaled
    from models.tissue import tissue_mask

    width, height = (scaled(n, field.mpp, TISSUE_MPP) for n in (field.width, field.height))
    tissue = tissue_mask(field.read(0, 0, width, height, TISSUE_MPP), TISSUE_MPP)
    size = membrane.shape[1], membrane.shape[0]
    spread = cv2.resize(tissue.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    area = int(np.count_nonzero(spread))
    return round(100 * int(np.count_nonzero(membrane[spread > 0])) / area, 4) if area else None
