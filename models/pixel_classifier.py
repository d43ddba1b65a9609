"""A pixel classifier as QuPath and ilastik have it: the strongest simple rival of every method.

Each pixel is described by filters of its surroundings, or by these and by what a frozen ImageNet
encoder sees there, and a small perceptron learns from the labelled pixels in seconds. It uses no
unlabelled image and is what a user would take instead of ours.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import load_file, save
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

Array = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]
FILTERS, FEATURES = "filters", "features"
KINDS = (FILTERS, FEATURES)
SMOOTHED = (1.0, 2.0, 4.0, 8.0)
CURVED = (1.0, 2.0, 4.0)
"""Widths in px of Gaussians, and of Hessians and gradients, as in QuPath's default features."""
ENCODER = "tu-tf_efficientnet_lite0"
FINE = 3
"""Levels of the encoder that are read: strides of 2, 4 and 8; coarser ones know no pixel."""
HIDDEN = (32,)
DECAY, EPOCHS = 5.0, 15
"""Chosen on validation patches of DSB, four labelled ones, three seeds, filters / with features:
Dice 0.867 / 0.880; 64 + 32 units, hardly decayed, 60 epochs know their images by heart (0.798 /
0.837); a linear one has 0.833 / 0.870."""
SAMPLED = 80_000
"""Labelled pixels that are learned from: more cost time and change nothing in QuPath's way."""
MEMBRANE, IGNORE = 255, 127


@dataclass(frozen=True)
class PixelClassifier:
    """A perceptron over standardised features. layers: weights (in, out) and biases (out,)."""

    kind: str
    mean: Array
    scale: Array
    layers: tuple[tuple[Array, Array], ...]

    def predict(self, images: Images) -> Array:
        """Return membrane probabilities (N, H, W) of RGB images (N, H, W, 3)."""
        maps = []
        for features in described(images, self.kind):
            values = (features.reshape(-1, features.shape[-1]) - self.mean) / self.scale
            for index, (weights, biases) in enumerate(self.layers):
                values = values @ weights + biases
                if index < len(self.layers) - 1:
                    values = np.maximum(values, 0)
            odds = values[:, 0].astype(np.float64)
            maps.append((1 / (1 + np.exp(-odds))).reshape(features.shape[:2]))
        return np.stack(maps).astype(np.float32)


def fit(kind: str, images: Images, masks: Images, *, seed: int) -> PixelClassifier:
    """Learn from labelled images (N, H, W, 3) and masks (N, H, W) of 0, 127 (ignored) and 255.

    As many membrane as other pixels are drawn, where there are as many. Raises ValueError where
    the masks show only one of both.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    generator = np.random.default_rng(seed)
    chosen = sampled(masks, generator)
    features = np.concatenate(
        [
            each[row, column]
            for each, (row, column) in zip(described(images, kind), chosen, strict=True)
        ]
    )
    labels = np.concatenate(
        [mask[places] == MEMBRANE for mask, places in zip(masks, chosen, strict=True)]
    )
    if labels.all() or not labels.any():
        raise ValueError("A pixel classifier needs membrane and background among its labels.")
    mean, scale = features.mean(0), features.std(0) + 1e-6
    perceptron = MLPClassifier(
        HIDDEN, alpha=DECAY, batch_size=512, max_iter=EPOCHS, random_state=seed
    )
    with warnings.catch_warnings():
        # it is stopped early on purpose
        warnings.simplefilter("ignore", ConvergenceWarning)
        perceptron.fit((features - mean) / scale, labels)
    pairs = zip(perceptron.coefs_, perceptron.intercepts_, strict=True)
    layers = tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in pairs)
    return PixelClassifier(kind, mean, scale, layers)


def sampled(
    masks: Images, generator: np.random.Generator
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Draw rows and columns of labelled pixels for each mask: half of all in membranes."""
    chosen = np.zeros(masks.shape, np.bool_).ravel()
    for wanted in (masks.ravel() == MEMBRANE, masks.ravel() < IGNORE):
        places = np.flatnonzero(wanted)
        count = min(SAMPLED // 2, len(places))
        chosen[generator.choice(places, count, replace=False)] = True
    drawn = [np.nonzero(each) for each in chosen.reshape(masks.shape)]
    return [(rows, columns) for rows, columns in drawn]


def described(images: Images, kind: str) -> Iterator[Array]:
    """Yield the features (H, W, F) of each image."""
    if kind not in KINDS:
        raise ValueError(f"There is no pixel classifier of {kind}; choose {' or '.join(KINDS)}.")
    encoded = seen_by_encoder(images) if kind == FEATURES else None
    for image in images:
        parts = filtered(image)
        yield np.concatenate([parts, next(encoded)], -1) if encoded is not None else parts


def filtered(image: Images) -> Array:
    """Return colour, smoothed colour, gradients and the Hessian's eigenvalues: (H, W, 42)."""
    planes = []
    for channel in np.moveaxis(image.astype(np.float32) / 255, -1, 0):
        planes.append(channel)
        planes += [gaussian_filter(channel, sigma) for sigma in SMOOTHED]
        for sigma in CURVED:
            planes.append(gaussian_gradient_magnitude(channel, sigma))
            planes += curvatures(channel, sigma)
    return np.stack(planes, -1)


def curvatures(channel: Array, sigma: float) -> list[Array]:
    """Return the larger and the smaller eigenvalue of the Hessian of a smoothed channel."""
    across, down, both = (
        gaussian_filter(channel, sigma, order=order) for order in ((0, 2), (2, 0), (1, 1))
    )
    middle = (across + down) / 2
    spread = np.sqrt(((across - down) / 2) ** 2 + both**2)
    return [(middle + spread).astype(np.float32), (middle - spread).astype(np.float32)]


def seen_by_encoder(images: Images) -> Iterator[Array]:
    """Yield a frozen ImageNet encoder's fine features (H, W, 80) of each image."""
    import torch

    from models.augment import normalise
    from models.networks import PACKAGED, NetworkConfig, build, encode

    network = build(NetworkConfig("unet", ENCODER, PACKAGED)).eval()
    for image in images:
        with torch.inference_mode():
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            levels = encode(network, normalise(pixels))[1 : 1 + FINE]
            full = [
                torch.nn.functional.interpolate(
                    level, image.shape[:2], mode="bilinear", align_corners=False
                )
                for level in levels
            ]
            yield torch.cat(full, 1)[0].permute(1, 2, 0).numpy()


def save_classifier(classifier: PixelClassifier, path: Path) -> str:
    """Write a classifier; return the file's sha256. Same in, same out."""
    tensors = {"mean": classifier.mean, "scale": classifier.scale}
    for index, (weights, biases) in enumerate(classifier.layers):
        tensors |= {f"weights_{index}": weights, f"biases_{index}": biases}
    document = json.dumps({"kind": classifier.kind, "layers": len(classifier.layers)})
    content = save(
        {name: np.ascontiguousarray(each) for name, each in tensors.items()},
        metadata={"pixel_classifier": document},
    )
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def holds_classifier(path: Path) -> bool:
    """Say whether a safetensors file is a pixel classifier's, or something else's."""
    with safe_open(path, "np") as file:
        return "pixel_classifier" in (file.metadata() or {})


def load_classifier(path: Path) -> PixelClassifier:
    """Read what `save_classifier` wrote."""
    with safe_open(path, "np") as file:
        document = json.loads((file.metadata() or {})["pixel_classifier"])
    tensors = load_file(path)
    layers = tuple(
        (tensors[f"weights_{index}"], tensors[f"biases_{index}"])
        for index in range(document["layers"])
    )
    return PixelClassifier(document["kind"], tensors["mean"], tensors["scale"], layers)
