"""Numbers and moments as a report prints them, with their units."""

from collections.abc import Mapping
from datetime import datetime


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} %"


def interval(value: Mapping[str, float | None]) -> str:
    if value["low"] is None or value["high"] is None:
        return "–"
    return f"{value['low']:.1f} – {value['high']:.1f}"


def area(mm2: float) -> str:
    """Say an area in mm², always: a small one with as many digits as it takes to be one."""
    if mm2 >= 0.1 or not mm2:
        return f"{mm2:.2f} mm²"
    return f"{float(f'{mm2:.2g}'):.10f}".rstrip("0") + " mm²"


def area_as_before(um2: float) -> str:
    """Say the area of a document of the first schema, as its report did: in mm² or in µm²."""
    return f"{um2 / 1e6:.2f} mm²" if um2 >= 10_000 else f"{count(round(um2))} µm²"


def count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")
