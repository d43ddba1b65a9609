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
