"""What-if thresholds of a live score: they must rise."""

from backend.kit.errors import Unprocessable

STEPS = ("t_faint", "t_weak", "t_moderate", "t_intense")
SHARES = ("c_any", "c_full")


class ThresholdsOutOfOrder(Unprocessable):
    code, title = "thresholds_order", "These thresholds don't make sense together"


def in_order(thresholds: dict[str, float]) -> None:
    """Raise ThresholdsOutOfOrder unless densities rise and shares do."""
    steps = [thresholds[name] for name in STEPS]
    if not 0 < steps[0] < steps[1] < steps[2] < steps[3]:
        raise ThresholdsOutOfOrder("faint, weak, moderate and intense must rise, from above 0.")
    least, full = (thresholds[name] for name in SHARES)
    if not 0 < least < full <= 1:
        raise ThresholdsOutOfOrder(
            "A stained cell's least share of the membrane must lie between 0 and that of a "
            "complete one, which is at most 1."
        )
