"""What a doubt is worth: does it lie where the errors are, and do probabilities mean what they say?

Pixels are 1-D here: whoever asks leaves out what is not known.
"""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

Values = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]


def capture(doubt: Values, errors: Truth, share: float) -> float:
    """Return the share of all errors among the `share` of pixels that are most doubtful.

    Where pixels are equally doubtful at the edge, as many of their errors count as a draw would
    find. NaN without an error.
    """
    if not errors.any():
        return float("nan")
    wanted = max(1, round(share * doubt.size))
    edge = np.partition(doubt, doubt.size - wanted)[doubt.size - wanted]
    above, at = doubt > edge, doubt == edge
    drawn = (wanted - np.count_nonzero(above)) / np.count_nonzero(at)
    captured = np.count_nonzero(errors & above) + drawn * np.count_nonzero(errors & at)
    return float(captured / np.count_nonzero(errors))


def auroc(doubt: Values, errors: Truth) -> float:
    """Return how often an error is more doubtful than a right pixel; equal ones count half.

    NaN where all pixels are right, or none is.
    """
    if errors.all() or not errors.any():
        return float("nan")
    return float(roc_auc_score(errors, doubt))


def calibration_error(probability: Values, truth: Truth, bins: int = 15) -> float:
    """Return the expected calibration error of membrane probabilities, over bins of equal width."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    expected = np.bincount(place, probability, bins)
    observed = np.bincount(place, truth, bins)
    return float(np.abs(expected - observed).sum() / probability.size)
