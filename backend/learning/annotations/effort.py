"""How long a person took over a mask: what can't be true is refused before it is counted."""

from datetime import datetime, timedelta
from math import isfinite

from backend.kit.db.base import now
from backend.kit.errors import Unprocessable

MOST = timedelta(days=1)
"""Of active work on one patch: more is milliseconds, or a clock that was never stopped."""
GRACE = timedelta(hours=1)
"""A server's clock may have been put right since the slide came."""


class EffortImplausible(Unprocessable):
    title = "This time can't have been spent on the patch"


def check(seconds: float | None, *, since: datetime) -> None:
    """Raise EffortImplausible for what nobody can have spent; None says nothing.

    since: when the slide came: nobody can have worked on it for longer than it has been here.
    """
    if seconds is None:
        return
    if not isfinite(seconds) or seconds < 0:
        raise EffortImplausible("`seconds_spent` must be a number of seconds, 0 or more.")
    if seconds > MOST.total_seconds():
        raise EffortImplausible(
            f"`seconds_spent` is {seconds:,.0f}, more than a day of work on one patch. It counts "
            "seconds, not milliseconds; leave it out if it is not known."
        )
    here = max(timedelta(), now() - since)
    if seconds > (here + GRACE).total_seconds():
        raise EffortImplausible(
            f"`seconds_spent` is {seconds:,.0f}, but the slide has been here for only "
            f"{here.total_seconds():,.0f} seconds. Leave it out if it is not known."
        )
