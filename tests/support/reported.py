"""A report's content made of a small measured phantom, for tests of exports."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

from backend.her2.regions.geojson import Region
from backend.her2.regions.tables import RegionKind
from backend.her2.reports.content import Content, Edit, Signature, Version
from models.canonical import canonical
from models.her2.cells import Cells
from models.her2.connectivity import connectivity
from models.her2.evaluated import tissue_mm2
from models.her2.pixels import Field
from models.her2.protocols import load
from models.her2.quality import quality_flags
from models.her2.tiles import measure
from models.phantom import PhantomSpec, field
from worker.her2 import document, report_figures
from worker.her2.slide import regions_of

REPORT_ID = "0192d5f1-0000-7000-8000-0000000000aa"
URN = f"urn:membrana:report:{REPORT_ID}"
SIDE = 1400
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
REGIONS = [
    Region(
        "0192d5f1-0000-7000-8000-000000000001",
        RegionKind.TUMOUR,
        "all",
        [[[[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE], [0, 0]]]],
    ),
    Region(
        "0192d5f1-0000-7000-8000-000000000002",
        RegionKind.EXCLUDE,
        "<b>fold</b>",
        [[[[0, 0], [200, 0], [200, 200], [0, 200], [0, 0]]]],
    ),
]
SHA = "ab" * 32


@cache
def measured() -> tuple[Cells, dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Cells, score document, figures and pictures of a synthetic field of a 2+ tumour."""
    drawn = field(PhantomSpec(seed=7, her2="2+"), SIDE)
    slide = Field(drawn.image, 0.25, drawn.mask > 0)
    protocol, regions = load("asco_cap_2023_breast"), regions_of(REGIONS, slide)
    measurement = measure(
        slide, slide.masks, regions=regions, settings=document.settings_of(protocol), workers=1
    )
    scored = document.score(
        measurement.cells,
        [],
        protocol=protocol,
        regions=regions,
        flags=quality_flags(measurement, regions),
        connectivity=connectivity(slide, slide.masks, regions),
        seed=1,
        tissue_mm2=tissue_mm2(measurement.survey.tissue, regions, 0.25),
    )
    pictures: dict[str, bytes] = {}

    def put(content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        pictures[sha256] = content
        return sha256

    heat = scored.document["heterogeneity"]
    figures = report_figures.figures(
        slide, scored.cells, scored.included, heat["map"], heat["tile_um"], REGIONS, regions, put
    )
    whole = scored.document | {
        "regions": document.described(REGIONS, 0.25),
        "decisions": {"on_the_slide": 2, "applied": 1, "without_cell": 1},
        "provenance": {
            "slide": {"sha256": SHA, "width": SIDE, "height": SIDE, "mpp": 0.25},
            "model": {
                "name": "cold-start",
                "kind": "cold-start",
                "weights_sha256": SHA,
                "prediction_sha256": SHA,
            },
            "masks": {"sha256": SHA, "patches": 0},
            "regions": {"sha256": SHA, "revision": 1},
            "decisions": {"sha256": SHA, "count": 2},
            "detector": "log",
            "software": {"version": "0.1.0", "commit": None, "code_sha256": SHA},
            "seed": 1,
        },
    }
    return scored.cells, whole, figures, pictures


def content(*, signed: bool = False, **more: Any) -> Content:
    """Return a draft's content, or a signed one's with an edit and a history."""
    _, whole, figures, pictures = measured()
    content: dict[str, Any] = {
        "urn": URN,
        "version": 1,
        "state": "draft",
        "made_at": AT,
        "made_by": "ines",
        "slide": {"id": "slide", "case_id": "24-H-1187 <A3>", "stain": "HER2", "vendor": "aperio"},
        "assay": {"antibody": "4B5"},
        "document": whole,
        "document_sha256": hashlib.sha256(canonical(whole)).hexdigest(),
        "figures": figures,
        "picture": pictures.__getitem__,
    }
    if signed:
        content |= {
            "state": "signed",
            "version": 2,
            "amends": URN.replace("aa", "ab"),
            "amendment_reason": "The region held DCIS.",
            "ish": {
                "method": "dual probe",
                "result": "negative",
                "group": 5,
                "copies": 2.9,
                "ratio": 1.2,
                "cells": 40,
                "read_by": "M. Ito",
                "entered_by": {"id": SHA[:36], "name": "Dr. A. Osei"},
                "entered_at": AT.isoformat(),
            },
            "signature": Signature(
                "Dr. A. Osei", AT, "author", "1+", "Faint & partial.", "Looked at 40×.", SHA
            ),
            "edits": [
                Edit(3, "WP", None, "ines", AT, "a lymphocyte"),
                Edit(None, None, "IC", "Dr. A. Osei", AT, "dark all round"),
            ],
            "history": [
                Version(REPORT_ID.replace("aa", "ab"), 1, "superseded", "2+", AT),
                Version(REPORT_ID, 2, "signed", "1+", AT),
            ],
        }
    return Content(**(content | more))


def included(cells: Cells) -> np.ndarray:
    """All cells but the fourth count."""
    which = np.ones(len(cells), np.bool_)
    which[3] = False
    return which
