"""The areas of a patch that are worth a look, from what a model version's pyramid holds of it."""

from dataclasses import dataclass

import numpy as np

from backend.kit.storage.pyramids import Channel, Pixels
from backend.learning.predictions import patch_layers
from backend.learning.predictions.tables import Prediction
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch

FULL = 255
"""One bit of doubt, as it is stored."""


@dataclass(frozen=True)
class Area:
    """Pixels that hang together, in analysis px from the patch's top left corner.

    pixels: how many they are; doubt: how much they hold, in bits: a pixel has at most one.
    """

    x: int
    y: int
    width: int
    height: int
    pixels: int
    doubt: float


def areas_of(slide: Slide, patch: Patch, prediction: Prediction, settings: Settings) -> list[Area]:
    """Return a patch's areas, the one that holds most doubt first."""
    flagged = patch_layers.channel(slide, patch, prediction, Channel.FLAGGED, settings)
    entropy = patch_layers.channel(slide, patch, prediction, Channel.UNCERTAINTY, settings)
    return sorted(found(flagged > 0, entropy), key=lambda area: (-area.doubt, area.y, area.x))


def found(flagged: np.ndarray, entropy: Pixels) -> list[Area]:
    # half a second to import, and asked for patch by patch only
    from scipy import ndimage

    labels, count = ndimage.label(flagged, structure=np.ones((3, 3), np.uint8))
    held = np.bincount(labels.ravel(), entropy.ravel() / FULL, count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return [
        Area(
            x=int(across.start),
            y=int(down.start),
            width=int(across.stop - across.start),
            height=int(down.stop - down.start),
            pixels=int(sizes[number]),
            doubt=round(float(held[number]), 2),
        )
        for number, (down, across) in enumerate(ndimage.find_objects(labels), start=1)
    ]
