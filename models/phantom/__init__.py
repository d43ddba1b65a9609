"""Synthetic HER2 slides with known truth: never to be taken for a patient's tissue."""

from models.phantom.cells import Cells
from models.phantom.render import Phantom, field, region
from models.phantom.slide import Written, truth_mask, write
from models.phantom.spec import CLASSES, MIXES, PhantomSpec, score

__all__ = [
    "CLASSES",
    "MIXES",
    "Cells",
    "Phantom",
    "PhantomSpec",
    "Written",
    "field",
    "region",
    "score",
    "truth_mask",
    "write",
]
