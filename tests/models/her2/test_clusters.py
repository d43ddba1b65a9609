import numpy as np
import pytest

from models.her2.classes import CLASSES
from models.her2.clusters import contiguous_intense, hang_together, in_clusters
from models.her2.protocols import Clusters, load

BIOPSY = load("hercep_gastric_biopsy")
ROW = np.stack([np.arange(6) * 15.0, np.zeros(6)], axis=1)


def by_definition(points, rule):
    """DBSCAN as written by Ester et al., by distances of all pairs and a walk over the cores."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = distance <= rule.radius_um
    core = near.sum(axis=1) >= rule.core
    answer = np.zeros(len(points), bool)
    for start in np.flatnonzero(core):
        reached, edge = {start}, [start]
        while edge:
            here = edge.pop()
            if core[here]:
                fresh = set(np.flatnonzero(near[here])) - reached
                reached |= fresh
                edge += fresh
        if len(reached) >= rule.cells:
            answer[sorted(reached)] = True
    return answer


@pytest.mark.parametrize("core", [2, 4, 5])
@pytest.mark.parametrize("seed", range(6))
def test_equals_dbscan_by_its_definition(core, seed):
    points = np.random.default_rng(seed).random((150, 2)) * 240
    rule = Clusters(radius_um=20.0, cells=5, core=core)
    found = hang_together(points, rule)
    assert 0 < found.sum() < 150
    np.testing.assert_array_equal(found, by_definition(points, rule))


def test_order_of_the_cells_does_not_matter():
    rng = np.random.default_rng(7)
    points = rng.random((300, 2)) * 300
    order = rng.permutation(300)
    rule = Clusters(radius_um=20.0, cells=5, core=5)
    np.testing.assert_array_equal(
        hang_together(points, rule)[order], hang_together(points[order], rule)
    )


def test_the_lining_of_a_gland_is_a_cluster_and_four_cells_are_none():
    assert hang_together(ROW[:5], BIOPSY.clusters).all()
    assert not hang_together(ROW[:4], BIOPSY.clusters).any()
    assert not hang_together(ROW * 1.4, BIOPSY.clusters).any()
    assert hang_together(ROW[:5] * 20 / 15, BIOPSY.clusters).all()


def test_no_cells_no_clusters():
    assert hang_together(np.zeros((0, 2)), BIOPSY.clusters).shape == (0,)
    assert in_clusters(np.zeros((0, 2)), np.zeros(0, np.uint8), BIOPSY).shape == (0, 3)


def test_weaker_cells_make_up_the_number_only_for_the_lower_level():
    label = np.array([CLASSES.index(name) for name in ("IC", "IP", "IC", "WC", "MP", "FP")])
    found = in_clusters(ROW, label.astype(np.uint8), BIOPSY)
    assert found.sum(axis=0).tolist() == [0, 5, 6]


def test_breast_looks_at_no_clusters_but_at_contiguous_intense_cells():
    assert in_clusters(ROW, np.full(6, 8, np.uint8), load("asco_cap_2023_breast")).shape == (6, 0)
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) * 12.0
    label = np.full(25, CLASSES.index("IC"), np.uint8)
    assert contiguous_intense(grid, label).all()
    assert not contiguous_intense(grid * 5, label).any()
    assert not contiguous_intense(grid, np.full(25, CLASSES.index("IP"), np.uint8)).any()
