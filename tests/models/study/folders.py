"""Small folders of images and masks: brown lines on grey, the lines are the truth."""

import csv

import numpy as np
from PIL import Image

MEMBRANE = 200
"""The masks' value of what is searched: not the 255 of our own masks."""


def lines(rng, height, width):
    """An image (H, W, 3) and its mask (H, W) of 0 and MEMBRANE."""
    mask = np.zeros((height, width), np.uint8)
    for row in rng.integers(8, height - 8, 6):
        mask[row - 3 : row + 3] = MEMBRANE
    image = rng.integers(180, 220, (height, width, 3), dtype=np.uint8)
    image[mask == MEMBRANE] = (120, 80, 50)
    return image, mask


def write(folder, *, slides=4, fields=2, height=256, width=256, seed=0):
    """Write images/, masks/ and groups.csv; return the folder."""
    rng = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = []
    for slide in range(slides):
        for field in range(fields):
            image, mask = lines(rng, height, width)
            name = f"s{slide}-f{field}"
            Image.fromarray(image).save(folder / "images" / f"{name}.png")
            Image.fromarray(mask).save(folder / "masks" / f"{name}.tif")
            rows.append((name, f"slide {slide}"))
    with (folder / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder
