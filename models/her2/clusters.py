"""Which cells hang together (her2.md §1.4, §1.5): DBSCAN, Ester et al. 1996.

A border cell within reach of two clusters counts for both, so that the answer does not depend on
the order of the cells, as it does where each border cell is given to whichever cluster came first.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from models.her2.classes import INDEX
from models.her2.protocols import Clusters, Protocol

INTENSE = Clusters(radius_um=25.0, cells=5, core=5)
"""A homogeneous, contiguous intense population (her2.md §1.5)."""

Double = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def hang_together(points_um: Double, rule: Clusters) -> Flags:
    """Say of each of the points (n, 2) whether it lies in a cluster (n,)."""
    n = len(points_um)
    if n < rule.cells:
        return np.zeros(n, bool)
    pairs = cKDTree(points_um).query_pairs(rule.radius_um, output_type="ndarray")
    core = np.bincount(pairs.ravel(), minlength=n) + 1 >= rule.core
    both = pairs[core[pairs].all(axis=1)]
    graph = coo_array((np.ones(len(both), np.int8), (both[:, 0], both[:, 1])), shape=(n, n))
    _, part = connected_components(graph, directed=False)
    one = pairs[core[pairs].sum(axis=1) == 1]
    inner = np.where(core[one[:, 0]], one[:, 0], one[:, 1])
    edge = one.sum(axis=1) - inner
    border = np.unique(np.stack([edge, part[inner]], axis=1), axis=0)
    size = np.bincount(part[core], minlength=n) + np.bincount(border[:, 1], minlength=n)
    large = size >= rule.cells
    answer = core & large[part]
    answer[border[large[border[:, 1]], 0]] = True
    return answer


def in_clusters(points_um: Double, label: npt.NDArray[np.uint8], protocol: Protocol) -> Flags:
    """Say of each cell whether it lies in a cluster, for each of protocol.cluster_levels (n, L).

    points_um: x, y (n, 2). label: index into CLASSES (n,). L is 0 without clusters.
    """
    levels = protocol.cluster_levels
    answer = np.zeros((len(label), len(levels)), bool)
    for number, columns in enumerate(levels):
        if protocol.clusters is not None:
            members = np.isin(label, columns)
            answer[members, number] = hang_together(points_um[members], protocol.clusters)
    return answer


def contiguous_intense(points_um: Double, label: npt.NDArray[np.uint8]) -> Flags:
    """Say of each cell (n,) whether it is intense complete and lies among others that are."""
    answer: Flags = label == INDEX["IC"]
    answer[answer] = hang_together(points_um[answer], INTENSE)
    return answer
