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


def area(um2: float) -> str:
    """Say an area in mm², a small one in µm², so that none reads as nothing."""
    return f"{um2 / 1e6:.2f} mm²" if um2 >= 10_000 else f"{count(round(um2))} µm²"


def count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")
