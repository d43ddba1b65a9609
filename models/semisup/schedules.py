"""What changes with the step: the ramp of the unsupervised losses, the rate, the EMA's decay."""

import math


def ramp(step: int, length: int) -> float:
    """Gaussian ramp-up exp(-5 (1 - t/T)^2) from e^-5 to 1 over `length` steps (eq. 8)."""
    if length <= 0:
        return 1.0
    rest = 1 - min(step, length) / length
    return math.exp(-5 * rest * rest)


def rise(step: int, steps: int, *, after: float, during: float) -> float:
    """Return 0 for the share `after` of a training's steps, then `ramp` over the share `during`."""
    start = round(steps * after)
    return 0.0 if step < start else ramp(step - start, round(steps * during))


def ema_decay(step: int, limit: float) -> float:
    """min(1 - 1/(t+1), limit): at step 0 the teacher copies the students."""
    return min(1 - 1 / (step + 1), limit)


def cosine(step: int, steps: int, *, warm_up: int = 0) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine to 0."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))


def poly(step: int, steps: int, *, warm_up: int = 0) -> float:
    """Factor of the learning rate: linear warm-up, then (1 - t/T)^0.9 to 0, as in SSL4MIS."""
    if step < warm_up:
        return (step + 1) / warm_up
    return float((1 - (step - warm_up) / max(steps - warm_up, 1)) ** 0.9)


def rate(schedule: str, step: int, steps: int, *, warm_up: int = 0) -> float:
    """Factor of the learning rate by a schedule's name. Raises ValueError for an unknown one."""
    if schedule == "constant":
        return 1.0
    if schedule not in DECAYS:
        known = ", ".join(("constant", *DECAYS))
        raise ValueError(f"There is no schedule {schedule!r}; choose one of {known}.")
    return DECAYS[schedule](step, steps, warm_up=warm_up)


DECAYS = {"cosine": cosine, "poly": poly}
