"""Windows of any size for networks that are particular about it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.blending import predict_region
from models.networks import FEATURED, OF_THE_PAPER
from models.prediction import PATCH_PX, Prediction, Predictor
from models.tiling import Tiling

Pixels = npt.NDArray[np.uint8]
STRIDE = 32
"""What the sides of a network's input are multiples of; of the small U-Nets 16."""
STRIDES = {"unet-small": 16, FEATURED: 16}
OF_A_PATCH = Tiling(step=208, overlap=48, rim=16, sides=(PATCH_PX,))
"""Of the networks with a transformer: they learn places within 256 px, and know no larger ones."""


def any_size(
    predictor: Predictor,
    architecture: str,
    images: Pixels,
    predict: Callable[[Pixels], Prediction],
) -> Prediction:
    """Predict windows (B, H, W, 3) by a network that takes only some sizes.

    predict: takes what the network takes. Windows are continued by their mirror image to the next
    multiple of the network's stride; where one of 256 px is the largest, they are blended of such.
    """
    height, width = images.shape[1:3]
    if architecture in OF_THE_PAPER and max(height, width) > PATCH_PX:
        parts = [predict_region(predictor, image, tiling=OF_A_PATCH) for image in images]
        return Prediction(
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.students for part in parts], axis=1),
        )
    stride = STRIDES.get(architecture, STRIDE)
    down, across = -height % stride, -width % stride
    if not (down or across):
        return predict(images)
    prediction = predict(np.pad(images, [(0, 0), (0, down), (0, across), (0, 0)], mode="symmetric"))
    return Prediction(
        np.ascontiguousarray(prediction.probability[:, :height, :width]),
        np.ascontiguousarray(prediction.students[:, :, :height, :width]),
    )
