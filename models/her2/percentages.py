"""How well computed percentages agree with true ones (her2.md §5).

Three questions: how far apart are they (Bland-Altman), how much of what differs between slides do
both see (ICC), and is there a constant or a proportional error (Deming)?
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

from models.her2.intervals import LEVEL

Double = npt.NDArray[np.float64]
Figures = dict[str, float | int | None]

_ROUNDING = 1e-12
"""What is this small beside the rest is only how numbers are kept."""


def bland_altman(given: npt.ArrayLike, computed: npt.ArrayLike, *, level: float = LEVEL) -> Figures:
    """Compare percentages (n,): bias = mean(computed - given), limits = bias ± 1.96 sd.

    Intervals after Bland and Altman 1999: standard error sd·√(1/n) of the bias and
    sd·√(1/n + 1.96²/(2(n - 1))) of a limit, Student's t with n - 1 degrees of freedom. Below two
    pairs the limits are None. Raises ValueError for other shapes or values that are not finite.
    """
    a, b = _pairs(given, computed)
    n, difference = len(a), b - a
    if n < 2:
        bias = float(difference.mean()) if n else None
        empty = ("sd", "bias_low", "bias_high", "lower", "lower_low", "lower_high")
        rest = (*empty, "upper", "upper_low", "upper_high")
        return {"n": n, "bias": bias, **dict.fromkeys(rest)}
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    z = float(stats.norm.ppf(0.975))
    t = float(stats.t.ppf(0.5 + level / 2, n - 1))
    around_bias = t * sd / np.sqrt(n)
    around_limit = t * sd * np.sqrt(1 / n + z**2 / (2 * (n - 1)))
    lower, upper = bias - z * sd, bias + z * sd
    return {
        "n": n,
        "bias": bias,
        "bias_low": float(bias - around_bias),
        "bias_high": float(bias + around_bias),
        "sd": sd,
        "lower": lower,
        "lower_low": float(lower - around_limit),
        "lower_high": float(lower + around_limit),
        "upper": upper,
        "upper_low": float(upper - around_limit),
        "upper_high": float(upper + around_limit),
    }


def icc(ratings: npt.ArrayLike, *, level: float = LEVEL) -> Figures:
    """Intraclass correlation ICC(2,1) of ratings (n slides, k raters): absolute agreement.

    Two-way random effects, a single rater (Shrout and Fleiss 1979; ICC(A,1) of McGraw and Wong
    1996): (MSR - MSE) / (MSR + (k - 1)MSE + k(MSC - MSE)/n), mean squares of slides R, raters C
    and the rest E. Interval by F with Satterthwaite's degrees of freedom (McGraw and Wong, table
    7), widened to the value where that lies outside (far below 0). None where nothing differs, or
    below two slides. Raises ValueError for other shapes or values that are not finite.
    """
    x = np.asarray(ratings, float)
    if x.ndim != 2 or x.shape[1] < 2 or not np.isfinite(x).all():
        raise ValueError("ratings are finite numbers (n slides, at least two raters)")
    n, k = x.shape
    nothing: Figures = {"n": n, "raters": k, "value": None, "low": None, "high": None}
    if n < 2:
        return nothing
    slides, raters = x.mean(axis=1), x.mean(axis=0)
    rest = x - slides[:, None] - raters + x.mean()
    msr = float(k * slides.var(ddof=1))
    msc = float(n * raters.var(ddof=1))
    mse = float((rest**2).sum() / ((n - 1) * (k - 1)))
    below = msr + (k - 1) * mse + k * (msc - mse) / n
    if below <= 0:
        return nothing
    value = (msr - mse) / below
    if msc + mse <= _ROUNDING * msr:
        return nothing | {"value": 1.0, "low": 1.0, "high": 1.0}
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * msc + b * mse) ** 2 / (
        (a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1))
    )
    # 1/F of swapped degrees: hardly any freedom then gives 0, where F would be without end
    freedom = max(freedom, _ROUNDING)
    lower, upper = (
        float(stats.f.ppf(0.5 - level / 2, *degrees))
        for degrees in ((freedom, n - 1), (n - 1, freedom))
    )
    error = k * msc + (k * n - k - n) * mse
    least = error + n * msr * lower
    if least <= 0:
        return nothing | {"value": value}
    low = n * (msr * lower - mse) / least
    high = n * (msr - upper * mse) / (upper * error + n * msr)
    return nothing | {"value": value, "low": min(low, value), "high": max(high, value)}


def deming(
    given: npt.ArrayLike, computed: npt.ArrayLike, *, ratio: float = 1.0, level: float = LEVEL
) -> Figures:
    """Line computed = intercept + slope · given where both have an error (Deming 1943).

    ratio δ: variance of the computed values' error over that of the given ones'. With sums of
    squares u of given, q of computed and p of products, slope = (q - δu + √((q - δu)² + 4δp²)) /
    2p (Linnet 1993). Intervals by the jackknife, Student's t with n - 2 degrees of freedom
    (Linnet 1993). None where no line can be drawn, intervals also below four pairs. Raises
    ValueError for other shapes, values that are not finite or a ratio that is not positive.
    """
    x, y = _pairs(given, computed)
    if not (np.isfinite(ratio) and ratio > 0):
        raise ValueError("the ratio of error variances must be positive")
    n = len(x)
    names = ("slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high")
    figures: Figures = {"n": n, "ratio": ratio, **dict.fromkeys(names)}
    whole = _line(x, y, ratio)
    if whole is None:
        return figures
    figures |= {"slope": whole[0], "intercept": whole[1]}
    without = [_line(np.delete(x, one), np.delete(y, one), ratio) for one in range(n)]
    lines = [line for line in without if line is not None]
    if n < 4 or len(lines) < n:
        return figures
    t = float(stats.t.ppf(0.5 + level / 2, n - 2))
    pseudo = n * np.array(whole) - (n - 1) * np.array(lines)
    reach = t * pseudo.std(axis=0, ddof=1) / np.sqrt(n)
    for name, value, around in zip(("slope", "intercept"), whole, reach, strict=True):
        figures |= {f"{name}_low": value - float(around), f"{name}_high": value + float(around)}
    return figures


def _line(x: Double, y: Double, ratio: float) -> tuple[float, float] | None:
    """Slope and intercept; None where the points do not rise or fall together."""
    if len(x) < 2:
        return None
    dx, dy = x - x.mean(), y - y.mean()
    u, q, p = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if abs(p) <= _ROUNDING * np.sqrt(u * q) or not u:
        return None
    above = q - ratio * u
    slope = (above + float(np.sqrt(above**2 + 4 * ratio * p**2))) / (2 * p)
    return slope, float(y.mean() - slope * x.mean())


def _pairs(given: npt.ArrayLike, computed: npt.ArrayLike) -> tuple[Double, Double]:
    a, b = np.asarray(given, np.float64), np.asarray(computed, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError("given and computed must be two lists of one length")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("given and computed must be finite")
    return a, b


def logit(percent: npt.ArrayLike, cells: npt.ArrayLike) -> Double:
    """Log odds of percentages of `cells`, half a cell kept from either end (Haldane 1956).

    Near 0 and 100 % differences of percentages are squeezed; on this scale they are not.
    """
    n = np.asarray(cells, float)
    k = np.asarray(percent, float) / 100 * n
    return np.asarray(np.log((k + 0.5) / (n - k + 0.5)), np.float64)
