"""Do areas meet the errors that a person would correct? Errors as areas, not pixel by pixel.

Half of all wrong pixels lie in lines one or two pixels wide along borders, where people differ,
too. What is left after an opening by 3×3 px is a missed or a false piece of membrane.
"""

import cv2
import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
OPENING = np.ones((3, 3), np.uint8)
LEAST_PX = 16


def error_areas(wrong: Bool) -> list[Bool]:
    """Return the areas of wrong pixels (H, W) that are thicker than a border's slip."""
    core = cv2.morphologyEx(wrong.astype(np.uint8), cv2.MORPH_OPEN, OPENING)
    count, labels, figures, _ = cv2.connectedComponentsWithStats(core, connectivity=4)
    sizes = figures[:, cv2.CC_STAT_AREA]
    return [labels == number for number in range(1, count) if sizes[number] >= LEAST_PX]


def met(areas: Bool, wrong: Bool) -> tuple[int, int]:
    """Return how many of a patch's error areas some area touches, and how many there are."""
    errors = error_areas(wrong)
    return sum(bool((each & areas).any()) for each in errors), len(errors)
