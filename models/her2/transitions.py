"""What a person's mask makes of cells that were measured on a proposal: learned on phantoms.

The errors of a proposal are not those of single cells: where a model takes brown stroma for
membrane on a slide it does so all over it. So each phantom of the bank keeps a table of its own,
and a slide is expected to behave like those that look like it, more and more like itself once
people have corrected some of it.
"""

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from models.her2.cells import Cells
from models.her2.classes import CLASSES, COMPLETE
from models.her2.protocols import Protocol

Double = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

SCHEMA = "membrana.her2-transitions/1"
BINS = 15
"""Kinds of cells that are told apart: three of N, two of each partial class, one of each other."""
GONE = len(CLASSES)
"""Column of a table behind those of CLASSES: no cell any more."""
APART_UM = 3.0
"""A nucleus found so near to where one was is the same."""
HALF = 0.5
"""Of c*: a partial membrane below it needs more to become complete."""
ALIKE = 20
"""The distance of so many phantoms of the bank is the scale on which slides look alike."""
WEIGHT = 10.0
"""Cells that the bank's tables are worth beside a phantom's, or a slide's, own."""


@dataclass(frozen=True)
class Bank:
    """Phantoms' tables. transitions: cells of each kind by what they became, (J, BINS, 10), with
    cells that appeared spread over the kinds; spread: variance among patches over a multinomial's.
    """

    transitions: Double
    spread: float
    sha256: str

    @property
    def looks(self) -> Double:
        """Square roots of the shares of the kinds in each phantom, (J, BINS)."""
        return looks(self.transitions.sum(axis=2))

    def tables(self, seen: Double) -> Double:
        """Chances of what becomes of a cell of each kind, by phantom: (J, BINS, 10).

        seen: transitions of the slide itself, (BINS, 10). Each phantom is drawn to the mean of all
        by WEIGHT cells, and with what is seen of the slide in the same way: Dirichlet's posterior
        mean, the slide's cells counting as many times less as they hang together.
        """
        pooled = normed(self.transitions.sum(axis=0))
        own = normed(self.transitions + WEIGHT * pooled)
        return normed(WEIGHT * own + seen / self.spread)

    def weights(self, kinds: Double, seen: Double) -> Double:
        """How much each phantom is like a slide: (J,), their sum is 1.

        kinds: cells of each kind as proposed (BINS,), compared by Hellinger's distance on the scale
        of the ALIKE nearest; and the likelihood of what was seen of it.
        """
        away = np.square(looks(kinds[None]) - self.looks).sum(axis=1)
        scale = max(float(np.partition(away, min(ALIKE, len(away)) - 1)[:ALIKE].max()), 1e-6)
        pooled = normed(self.transitions.sum(axis=0))
        own = normed(self.transitions + WEIGHT * pooled)
        fit = (seen * np.log(np.maximum(own, 1e-6))).sum(axis=(1, 2)) / self.spread
        log = fit - 2 * away / scale
        weight = np.exp(log - log.max())
        return np.asarray(weight / weight.sum(), np.float64)


@cache
def shipped() -> Bank:
    """Read the bank that comes with the package: `python -m benchmarks.stopping` writes it."""
    content = files("models.her2").joinpath("transitions.json").read_bytes()
    document = json.loads(content)
    if document["schema"] != SCHEMA:
        raise ValueError(f"transitions.json is {document['schema']}, not {SCHEMA}")
    return Bank(
        np.asarray(document["transitions"], np.float64),
        float(document["spread"]),
        sha256(content).hexdigest(),
    )


def kinds_of(cells: Cells, protocol: Protocol) -> Whole:
    """Number the kinds of cells, 0 to BINS − 1: (n,). People's classes count like measured ones."""
    partial = np.flatnonzero(~np.asarray(COMPLETE))[1:]
    first = np.zeros(len(CLASSES), np.int64)
    # N has three kinds, a partial class two, a complete one one
    first[1:] = 3 + np.cumsum([0, *(1 if whole else 2 for whole in COMPLETE[1:-1])])
    label = cells.label.astype(np.int64)
    negative = np.where(cells.unshared <= 0, 0, np.where(cells.unshared < protocol.c_any, 1, 2))
    more = np.isin(label, partial) & (cells.unshared >= HALF)
    return np.where(label == 0, negative, first[label] + more)


def label_of_kind() -> Whole:
    """Return the class of each kind: (BINS,)."""
    split = [3 if not label else 1 if whole else 2 for label, whole in enumerate(COMPLETE)]
    return np.repeat(np.arange(len(CLASSES)), split)


def transitions(before: Cells, after: Cells, protocol: Protocol) -> Double:
    """Count what became of the cells measured on a proposal, on a person's mask: (BINS, 10).

    Cells are the same whose nuclei are each other's nearest within APART_UM. Cells that appeared
    are spread over the kinds by their number: chances of a row then add up to more than 1 is
    avoided by `normed`, which leaves a row's sum at what it has.
    """
    kinds = kinds_of(before, protocol)
    table = np.zeros((BINS, len(CLASSES) + 1))
    if not len(before):
        return table
    here, there = (np.column_stack([each.x, each.y]) * each.mpp for each in (before, after))
    born = np.bincount(after.label, minlength=len(CLASSES)).astype(np.float64)
    became = np.full(len(before), GONE)
    if len(after):
        away, which = map(np.asarray, cKDTree(there).query(here))
        back = np.asarray(cKDTree(here).query(there)[1])
        same = (away <= APART_UM) & (back[which] == np.arange(len(before)))
        became[same] = after.label[which[same]]
        born -= np.bincount(after.label[which[same]], minlength=len(CLASSES))
    np.add.at(table, (kinds, became), 1)
    share = np.bincount(kinds, minlength=BINS) / len(before)
    table[:, :GONE] += share[:, None] * born
    return table


def looks(kinds: Double) -> Double:
    return np.asarray(np.sqrt(normed(kinds)), np.float64)


def normed(table: Any) -> Double:
    """Divide rows by their sum; a row of nothing stays nothing."""
    return np.asarray(table / np.maximum(table.sum(axis=-1, keepdims=True), 1e-9), np.float64)
