"""LOINC's answers for the categories: FHIR and DICOM code them alike."""

from collections.abc import Mapping
from typing import Any

ANSWERS: Mapping[str, tuple[str, str]] = {
    "0": ("LA6111-4", "0"),
    "0+": ("LA6111-4", "0"),
    "1+": ("LA11841-6", "1+"),
    "2+": ("LA11842-4", "2+"),
    "3+": ("LA11843-2", "3+"),
    "not assessable": ("LA11884-6", "Indeterminate"),
}


def coded_score(document: Mapping[str, Any]) -> str:
    """Return the category that codes stand for: 0 where the laboratory prints 0+ as 0."""
    merged = document["score"] == "0+" and document["protocol"]["merge_zero_plus"]
    return "0" if merged else str(document["score"])
