"""A plain mosaic of cells with known membranes: hexagons, round blue nuclei, brown rings."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from models.her2.classes import COMPLETE, INDEX, INTENSITY_OF
from models.her2.pixels import Field, Regions
from models.her2.protocols import load
from models.her2.tile import Settings
from models.her2.tiles import measure
from models.stain import StainVectors

MPP = 0.25
PITCH_UM = 13.0
WHITE = 240.0
LEVELS = (0.0, 0.16, 0.32, 0.55, 0.9)
HALF_WIDTH_UM = (0.0, 0.6, 0.7, 0.9, 1.1)
PROTOCOL = load("asco_cap_2023_breast")


@dataclass(frozen=True)
class Mosaic:
    image: np.ndarray
    mask: np.ndarray
    x: np.ndarray
    y: np.ndarray
    label: np.ndarray


def mosaic(labels, *, side_px=768, seed=0, brown=0.0, arc=0.5, blur_um=0.3, nuclei=1.0):
    """Draw cells of the classes that `labels(n, generator)` gives them, on `side_px`² pixels.

    brown: DAB of the cytoplasm. arc: how far round a partial membrane goes. nuclei: share of cells
    whose nucleus is seen.
    """
    g = np.random.default_rng(seed)
    pitch = PITCH_UM / MPP
    rows = np.arange(-1, side_px / (pitch * 0.866) + 1)
    cols = np.arange(-1, side_px / pitch + 1)
    r, c = (each.ravel() for each in np.meshgrid(rows, cols, indexing="ij"))
    y = (r + 0.5) * pitch * 0.866 + g.uniform(-3, 3, r.size)
    x = (c + 0.5 + 0.5 * (r % 2)) * pitch + g.uniform(-3, 3, r.size)
    names = labels(x, y, g)
    label = np.array([INDEX[name] for name in names])
    yy, xx = np.mgrid[:side_px, :side_px]
    distance, owner = cKDTree(np.stack([y, x], axis=1)).query(
        np.stack([yy.ravel(), xx.ravel()], axis=1), k=2
    )
    first = owner[:, 0]
    apart = np.hypot(*(np.stack([y, x])[:, owner[:, 0]] - np.stack([y, x])[:, owner[:, 1]]))
    border = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * apart) * MPP
    angle = np.arctan2(yy.ravel() - y[first], xx.ravel() - x[first])
    phase = g.uniform(-np.pi, np.pi, r.size)[first]
    turn = np.abs((angle - phase + np.pi) % (2 * np.pi) - np.pi) / np.pi
    full = np.array(COMPLETE)[label][first]
    level = np.array(INTENSITY_OF)[label]
    stained = (
        (border < np.array(HALF_WIDTH_UM)[level][first])
        & (full | (turn < arc))
        & (label[first] > 0)
    )
    dab = np.where(stained, np.array(LEVELS)[level][first], 0)
    seen = g.uniform(size=r.size) < nuclei
    blue = np.where((distance[:, 0] * MPP < 3.8) & seen[first], 0.35, 0.03)
    shape = side_px, side_px
    h, d = blue.reshape(shape), np.maximum(dab, brown).reshape(shape)
    vectors = StainVectors()
    od = h[..., None] * _unit(vectors.haematoxylin) + d[..., None] * _unit(vectors.dab)
    light = cv2.GaussianBlur(WHITE * 10**-od, (0, 0), blur_um / MPP)
    light += g.normal(0, 1.0, light.shape)
    light[:, :32] = WHITE  # a strip of glass, for the white point
    return Mosaic(light.clip(0, 255).astype(np.uint8), stained.reshape(shape).copy(), x, y, label)


SETTINGS = Settings(PROTOCOL, StainVectors())


def measured(drawn, *, regions=None, **options):
    """Measure a mosaic with the breast protocol; cells at its rim are left out."""
    field = Field(drawn.image, MPP, drawn.mask)
    options.setdefault("workers", 1)
    return measure(
        field,
        field.masks,
        regions=regions or inner(field),
        settings=SETTINGS,
        **options,
    )


def inner(field, rim_px=64):
    from shapely import box

    return Regions.of([box(rim_px, rim_px, field.width - rim_px, field.height - rim_px)])


def alone(share, name, other="N", apart_px=150.0):
    """A share of the cells, none beside another, is `name`; the rest `other`."""

    def labels(x, y, g):
        chosen = np.zeros(len(x), bool)
        for cell in g.permutation(len(x)):
            near = np.hypot(x - x[cell], y - y[cell]) < apart_px
            if not (chosen & near).any() and chosen.mean() < share:
                chosen[cell] = True
        return np.where(chosen, name, other)

    return labels


def mixed(share, name, other="N"):
    return lambda x, y, g: np.where(g.uniform(size=len(x)) < share, name, other)


def all_of(name):
    return lambda x, y, g: np.full(len(x), name)


def _unit(vector):
    return np.array(vector) / np.linalg.norm(vector)
