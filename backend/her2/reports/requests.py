"""What is asked for with a report: what to score and how, and what is said of the slide."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from backend.her2.reports.tables import Report
from backend.her2.scores import inputs
from backend.her2.scores.ish import Ish
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide


@dataclass(frozen=True)
class ReportRequest(inputs.ScoreRequest):
    """merge_zero_plus: print 0+ as 0, as laboratories do that follow the guideline of 2023
    literally.
    """

    merge_zero_plus: bool = False
    assay: dict[str, Any] = field(default_factory=dict)
    ish: Ish | None = None


def of_report(
    session: Session, blobs: Blobs, settings: Settings, slide_id: str, wanted: ReportRequest
) -> dict[str, Any]:
    """Return what a report keeps for good: what it is computed from and the slide's labels."""
    frozen = inputs.freeze(session, blobs, settings, slide_id, wanted)
    return frozen | {
        "merge_zero_plus": wanted.merge_zero_plus,
        "labels": labelled(slides.get(session, slide_id)),
    }


def labelled(slide: Slide) -> dict[str, Any]:
    """Return what a slide is called by: a report keeps that, whatever it is called later."""
    return {
        "name": slide.name,
        "case_id": slide.case_id,
        "block": slide.block,
        "stain": slide.stain,
        "vendor": slide.vendor,
    }


OF_OLD = ("case_id", "stain", "vendor")
"""All that signatures without facts have bound and printed."""


def labels_of(session: Session, report: Report) -> dict[str, Any]:
    """Return what a report's slide is called: as it was signed, a draft's as it is today."""
    if report.signed_facts is not None:
        signed: dict[str, Any] = report.signed_facts["slide"]
        return signed
    today = labelled(slides.get(session, report.slide_id))
    if report.signed_at is not None:
        frozen = report.inputs.get("labels") or today
        return {name: frozen[name] for name in OF_OLD}
    return today | {"block": today["block"] or report.assay.get("block")}
