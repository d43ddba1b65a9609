"""What a score is computed from, frozen when it is asked for: the same inputs, the same score."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from backend.her2.regions import geojson
from backend.her2.regions import service as regions
from backend.her2.regions.geojson import Region
from backend.her2.regions.tables import RegionKind
from backend.her2.scores import decisions
from backend.her2.scores.detector import chosen
from backend.jobs.tables import JobState
from backend.kit.canonical import canonical
from backend.kit.errors import Conflict, Unprocessable
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import newest_masks
from backend.learning.model_versions import service as model_versions
from backend.learning.model_versions.tables import ModelVersion
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides


class RegionUnknown(Unprocessable):
    code = "region_unknown"


class NotPredicted(Conflict):
    code, title = "no_prediction", "There are no membranes to score yet"


@dataclass(frozen=True)
class ScoreRequest:
    """What to score and how. `regions`: ids of regions, GeoJSON of others, or None for all."""

    protocol: str
    model_version: str | None = None
    regions: Any = None
    gap: str | None = None


def freeze(
    session: Session, blobs: Blobs, settings: Settings, slide_id: str, wanted: ScoreRequest
) -> dict[str, Any]:
    """Return the inputs of a score as of now, each by its hash; the blobs are there then."""
    slide, width, height = slides.visible(session, slide_id)
    prediction = prediction_for(session, slide_id, wanted.model_version)
    version = model_versions.get(session, prediction.model_version_id)
    used, revision, left = chosen_regions(session, blobs, settings, slide_id, wanted.regions)
    masks = newest_masks.accepted_of_slide(session, slide_id)
    decided = decisions.frozen(decisions.standing(session, slide_id))
    calibration = settings.data / "calibration" / f"{wanted.protocol}.json"
    detector = chosen(settings.nucleus_detector)
    return {
        "slide": {"sha256": slide.sha256, "width": width, "height": height, "mpp": slide.mpp},
        "analysis_mpp": settings.analysis_mpp,
        "protocol": wanted.protocol,
        "gap": wanted.gap,
        "calibration_sha256": blobs.put(calibration.read_bytes())
        if calibration.is_file()
        else None,
        "model": {
            "id": version.id,
            "name": version.name,
            "kind": str(version.kind),
            "weights_sha256": version.weights_sha256,
            "threshold": version.threshold,
            "prediction_sha256": prediction.sha256,
            "computed_by": predictions.computed_by(session, prediction.id),
        },
        "detector": detector.frozen() if detector else None,
        "masks": {"sha256": blobs.put(canonical(masks)), "patches": len(masks)},
        "regions": {
            "sha256": blobs.put(geojson.document(used)),
            "revision": revision,
            **({"features_left": dict(left)} if left else {}),
        },
        "decisions": {"sha256": blobs.put(canonical(decided)), "count": len(decided)},
    }


def prediction_for(session: Session, slide_id: str, model_version: str | None) -> Prediction:
    """Return a whole prediction: the named version's, else the one that people see."""
    version = None
    if model_version is None:
        prediction = predictions.shown(session, slide_id)
    else:
        version = model_versions.by_name(session, model_version) or model_versions.get(
            session, model_version
        )
        prediction = predictions.of_version(session, slide_id, version.id)
    if prediction is None or prediction.finished_at is None:
        raise not_predicted(session, slide_id, version)
    return prediction


def not_predicted(session: Session, slide_id: str, version: ModelVersion | None) -> NotPredicted:
    """Say why there are no membranes to score: being found now, tried in vain, or not asked for.

    version: the model version that was named; None: any.
    """
    job = predictions.newest_job(session, slide_id, version.id if version else None)
    who = version.name if version else "the model"
    if job is None or job.state == JobState.SUCCEEDED:
        return NotPredicted(
            f"The membranes of this slide have not been found yet: {who} has not looked at all of "
            "it. Ask for its prediction and score the slide when that is done."
        )
    now: dict[str, Any] = {"job_id": job.id, "job_state": str(job.state), "progress": job.progress}
    if job.state == JobState.RUNNING:
        return NotPredicted(
            f"The membranes of this slide are being found now: {round(100 * job.progress)} % is "
            "done. Score the slide when that has ended; the slide's card shows how far it is.",
            **now,
        )
    if job.state == JobState.QUEUED:
        return NotPredicted(
            "The membranes of this slide are about to be found: that work waits in the queue. "
            "Score the slide when it is done; the slide's card shows how far it is.",
            **now,
        )
    why = (job.problem or {}).get("detail", "")
    return NotPredicted(
        f"The membranes of this slide could not be found. {why} Ask for the slide's prediction "
        "once more.".replace("  ", " "),
        **now,
    )


def chosen_regions(
    session: Session, blobs: Blobs, settings: Settings, slide_id: str, wanted: Any
) -> tuple[list[Region], int, Counter[str]]:
    """Return the regions to score in, the revision they are of, and what of GeoJSON was left."""
    now = regions.current(session, blobs, slide_id)
    if wanted is None:
        return now.regions, now.revision, Counter()
    if isinstance(wanted, dict):
        slide, width, height = slides.visible(session, slide_id)
        corner = frame.corner(slide, settings)
        parsed, left = geojson.parse(wanted, width=width, height=height, corner=corner)
        return parsed, now.revision, left
    unknown = set(wanted) - {region.id for region in now.regions}
    if unknown:
        raise RegionUnknown(f"This slide has no region {min(unknown)}.")
    # what is excluded stays so, whichever tumour is chosen
    chosen = [
        region for region in now.regions if region.id in wanted or region.kind != RegionKind.TUMOUR
    ]
    return chosen, now.revision, Counter()
