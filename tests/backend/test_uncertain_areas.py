"""Areas are gathered from runs of pixels as a labelling library gathers them."""

import numpy as np
import pytest
from scipy import ndimage

from backend.learning.predictions.areas import connected


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.45, 1.0])
def test_areas_are_the_connected_ones(share: float) -> None:
    generator = np.random.default_rng(7)
    flagged = (generator.random((64, 64)) < share).astype(np.uint8) * np.uint8(255)
    entropy = generator.integers(0, 256, flagged.shape, np.uint8)
    labels, count = ndimage.label(flagged, structure=np.ones((3, 3)))
    expected = sorted(
        (
            across.start,
            down.start,
            across.stop - across.start,
            down.stop - down.start,
            int((labels == number).sum()),
            round(float(entropy[labels == number].sum()) / 255, 2),
        )
        for number, (down, across) in enumerate(ndimage.find_objects(labels), start=1)
    )
    areas = sorted(
        (each.x, each.y, each.width, each.height, each.pixels, each.doubt)
        for each in connected(flagged, entropy)
    )
    assert len(areas) == count
    assert [area[:5] for area in areas] == [area[:5] for area in expected]
    assert [area[5] for area in areas] == pytest.approx([area[5] for area in expected])
