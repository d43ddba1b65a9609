"""Nuclei of other stains made those of an HER2 slide: blue, with brown membranes round them.

Everything is drawn in amounts of haematoxylin and DAB and then lit by Beer and Lambert; lengths are
in µm, amounts in log10 density. A generator's draws make a picture what it is: the same generator,
the same picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.stain import WHITE, StainVectors, optical_density

Float = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]
Label = npt.NDArray[np.int32]
Draw = np.random.Generator

BLUES = np.array([(0.75, 0.60, 0.20), (0.62, 0.70, 0.30), (0.60, 0.68, 0.42), (0.80, 0.55, 0.15)])
"""Haematoxylin as scanners show it: sky blue, QuPath's, greyish purple, pale azure."""
BROWNS = np.array([(0.27, 0.57, 0.78), (0.35, 0.58, 0.73), (0.22, 0.50, 0.84)])


@dataclass(frozen=True)
class Amounts:
    """Haematoxylin, DAB (H, W) and what neither explains (H, W, 3) of a picture."""

    blue: Float
    brown: Float
    rest: Float


def noise(draw: Draw, shape: tuple[int, int], grain_px: float) -> Float:
    """Smooth noise of about −1 to 1 whose grains are some `grain_px` wide."""
    size = [max(2, round(n / grain_px) + 2) for n in shape]
    coarse = draw.uniform(-1, 1, size).astype(np.float32)
    out = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(out, np.float32)


def unmixed(image: Rgb) -> Amounts:
    """Separate a real HER2 picture (H, W, 3)."""
    density = optical_density(image, WHITE)
    vectors = StainVectors()
    amounts = density @ vectors.unmixing()
    both = _directions(vectors.haematoxylin, vectors.dab)
    blue, brown = (np.maximum(amounts[..., n], 0).astype(np.float32) for n in range(2))
    rest = density - blue[..., None] * both[0] - brown[..., None] * both[1]
    return Amounts(blue, brown, rest.astype(np.float32))


def lit(draw: Draw, amounts: Amounts) -> Rgb:
    """Draw amounts in stains, light, focus and compression of their own."""
    blue, brown = (
        base @ weights
        for base, weights in (
            (BLUES.T, draw.dirichlet(np.ones(len(BLUES)))),
            (BROWNS.T, draw.dirichlet(np.ones(len(BROWNS)))),
        )
    )
    both = _directions(blue + draw.normal(0, 0.03, 3), brown + draw.normal(0, 0.03, 3))
    density = amounts.blue[..., None] * both[0] + amounts.brown[..., None] * both[1]
    density += np.float32(draw.uniform(0, 1)) * amounts.rest
    # over- and underexposed, as cameras show it
    density = density * np.float32(np.exp(draw.normal(0, 0.2)))
    white = np.float32(draw.uniform(215, 253)) + draw.normal(0, 4, 3).astype(np.float32)
    light = white * np.asarray(cv2.exp(density.astype(np.float32) * -np.log(np.float32(10))))
    sigma = draw.uniform(0, 1.6) if draw.random() < 0.5 else 0.0
    if sigma > 0.3:
        light = cv2.GaussianBlur(light, (0, 0), sigma)
    elif draw.random() < 0.3:
        # as cameras and some scanners sharpen
        soft = cv2.GaussianBlur(light, (0, 0), 1.5)
        light = light + np.float32(draw.uniform(0.3, 1.5)) * (light - soft)
    grain = draw.standard_normal(light.shape, np.float32)
    image = np.clip(light + np.float32(draw.uniform(0, 4)) * grain, 0, 255).astype(np.uint8)
    if draw.random() < 0.3:
        bent = 255 * (np.arange(256) / 255) ** draw.uniform(0.7, 1.35)
        image = np.asarray(cv2.LUT(image, np.rint(bent).astype(np.uint8)), np.uint8)
    if draw.random() < 0.5:
        quality = int(draw.integers(40, 95))
        _, coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return np.asarray(image, np.uint8)


def restained(draw: Draw, amounts: Amounts) -> Amounts:
    """Stain a real picture more or less than it is, evenly and here and there."""
    shape = amounts.blue.shape
    strength = np.float32(np.exp(draw.normal(0, 0.35)))
    brown = amounts.brown * np.float32(np.exp(draw.normal(-0.1, 0.45)))
    if draw.random() < 0.3:
        brown = brown * np.clip(0.7 + 0.7 * noise(draw, shape, 40), 0, 2)
    return Amounts(amounts.blue * strength, brown.astype(np.float32), amounts.rest)


def painted(
    draw: Draw, chromatin: Float, labels: Label, shown: npt.NDArray[np.bool_], mpp: float
) -> Amounts:
    """Stain nuclei (density 0 … about 1, and their labels) as in HER2, with membranes round them.

    shown: by label; of the others there is the membrane and no nucleus to be seen.
    """
    shape = labels.shape
    inside = labels > 0
    deep = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3) * np.float32(mpp)
    body = chromatin
    if draw.random() < 0.5:
        # vesicular: chromatin at the envelope, pale within
        body = body * (1 - np.float32(draw.uniform(0.3, 0.85)) * np.clip(deep / 1.2, 0, 1))
    each = draw.uniform(0.55, 1.3, len(shown)).astype(np.float32)
    each[~shown] = draw.uniform(0, 0.15)
    blue = body * np.where(inside, each[labels], 1) * np.float32(draw.uniform(0.12, 0.6))
    blue = blue + np.float32(draw.uniform(0, 0.09)) * (1 + 0.7 * noise(draw, shape, 12))
    brown = _membranes(draw, labels, mpp)
    return Amounts(np.maximum(blue, 0).astype(np.float32), brown, np.zeros((*shape, 3), np.float32))


def _membranes(draw: Draw, labels: Label, mpp: float) -> Float:
    shape = labels.shape
    if draw.random() < 0.25:
        return np.zeros(shape, np.float32)
    free = (labels == 0).astype(np.uint8)
    if free.all():
        return np.zeros(shape, np.float32)
    distance, place = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(place.max()) + 1, np.int32)
    owner[place[labels > 0]] = labels[labels > 0]
    reach = draw.uniform(1.5, 7.0) * (1 + 0.3 * noise(draw, shape, 30))
    ground = np.where(distance * mpp <= reach, owner[place], 0).astype(np.float32)
    edge = np.asarray(cv2.morphologyEx(ground, cv2.MORPH_GRADIENT, np.ones((3, 3)))) > 0
    off = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 3) * np.float32(mpp)
    width = np.float32(draw.uniform(0.25, 1.1))
    line = np.exp(-((off / width) ** 2)) * np.clip(0.8 + 0.6 * noise(draw, shape, 6), 0, 2)
    broken = np.clip(draw.uniform(-0.3, 1.2) + 1.2 * noise(draw, shape, 24), 0, 1)
    strength = np.float32(draw.choice([0.1, 0.25, 0.5, 0.9, 1.3]) * draw.uniform(0.7, 1.3))
    blush = np.float32(draw.uniform(0, 0.25)) * np.clip(0.5 + noise(draw, shape, 16), 0, 2)
    cytoplasm = (ground > 0) & (labels == 0)
    over = np.float32(draw.uniform(0, 0.6))
    brown = strength * line * broken + blush * strength * np.where(cytoplasm, 1, over)
    return np.asarray(np.maximum(brown, 0), np.float32)


def _directions(*vectors: object) -> Float:
    both = np.abs(np.array([np.asarray(vector, np.float64) for vector in vectors]))
    return np.asarray(both / np.linalg.norm(both, axis=1, keepdims=True), np.float32)
