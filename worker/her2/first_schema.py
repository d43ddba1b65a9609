"""Documents of the schema membrana.her2/1 beside those of today: what both say alike.

A report that was computed before is computed again by today's code. Numbers have to be the same;
words may have become plainer, and what is new is not asked of the old.
"""

from collections.abc import Mapping
from typing import Any

FIRST = "membrana.her2/1"
OLD_CODES = {"intense_below_detection": "below_detection_limit"}
"""Remarks that had another code."""
NEW = ("evaluated_area_mm2", "region_area_mm2")


def alike(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return two documents to be compared, of a kind if the first is of the first schema.

    What is said of stopping is compared where both were told from the same phantoms: earlier
    versions had none, or others.
    """
    banks = [each.get("stop", {}).get("bank_sha256") for each in (before, after)]
    if banks[0] != banks[1]:
        before, after = (
            {name: value for name, value in each.items() if name != "stop"}
            for each in (before, after)
        )
    if before["schema"] != FIRST:
        return before, after
    return in_common(before), in_common(as_first(after))


def as_first(document: Mapping[str, Any]) -> dict[str, Any]:
    """Say a document of today in the first schema."""
    heterogeneity = dict(document["heterogeneity"])
    if heterogeneity["share_3plus"] is None and document["cells"]:
        heterogeneity["share_3plus"] = 0.0
    regions = [
        {name: value for name, value in each.items() if name != "area_mm2"}
        | {"area_um2": round(each["area_mm2"] * 1e6, 2)}
        for each in document["regions"]
    ]
    values = {name: value for name, value in document.items() if name not in NEW}
    return values | {
        "schema": FIRST,
        "evaluated_area_um2": round(document["region_area_mm2"] * 1e6, 2),
        "heterogeneity": heterogeneity,
        "regions": regions,
    }


def in_common(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of the first schema with its remarks by code and without its sentences."""
    codes = {OLD_CODES.get(flag["code"], flag["code"]) for flag in document["flags"]}
    values = {name: value for name, value in document.items() if name != "reason_text"}
    return values | {"flags": sorted(codes)}
