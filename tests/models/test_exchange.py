"""UMIX against the loop of its description, and against a case worked out by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.semisup.exchange import cell_means, exchange, sources


def by_loop(image, entropy_1, entropy_2, count, grid):
    """Overwrite cells one by one, from a copy, as UCMT's in-place loop does."""
    side = image.shape[-1] // grid
    cells = [(row, column) for row in range(grid) for column in range(grid)]

    def cell(of, place):
        row, column = place
        return of[..., row * side : (row + 1) * side, column * side : (column + 1) * side]

    def ordered(entropy):
        return sorted(cells, key=lambda place: -float(cell(entropy, place).mean()))

    first, second = ordered(entropy_1), ordered(entropy_2)
    mixed = image.clone()
    for worst, best in zip(first[:count], second[-count:], strict=True):
        cell(mixed, worst).copy_(cell(image, best))
    for worst, best in zip(second[:count], first[-count:], strict=True):
        cell(mixed, worst).copy_(cell(image, best))
    return mixed


@given(st.integers(0, 2**31), st.sampled_from([(1, 2), (2, 4), (3, 8)]))
@settings(max_examples=40, deadline=None)
def test_gather_is_the_loop(seed, size):
    count, grid = size
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 3, 16, 16, generator=generator)
    shared = torch.rand(3, 16, 16, generator=generator)
    maps = [shared + 0.2 * torch.rand(3, 16, 16, generator=generator) for _ in range(2)]
    moved = exchange(images, sources(*maps, count=count, grid=grid), grid=grid)
    for image, result, *entropies in zip(images, moved, *maps, strict=True):
        torch.testing.assert_close(result, by_loop(image, *entropies, count, grid))


def test_a_case_by_hand():
    # cells 0..3; map 1: 3 is the worst, 0 the best. Map 2: 1 is the worst, 2 the best
    entropy_1 = torch.tensor([[[0.1, 0.3], [0.2, 0.9]]])
    entropy_2 = torch.tensor([[[0.5, 0.8], [0.1, 0.4]]])
    index = sources(entropy_1, entropy_2, count=1, grid=2)
    assert index.tolist() == [[0, 0, 2, 2]]
    images = torch.tensor([[[[10.0, 11.0], [12.0, 13.0]]]])
    assert exchange(images, index, grid=2).flatten().tolist() == [10, 10, 12, 12]


def test_where_both_want_a_cell_the_second_wins():
    entropy_1 = torch.tensor([[[0.9, 0.3], [0.2, 0.1]]])  # best: 3
    entropy_2 = torch.tensor([[[0.9, 0.1], [0.2, 0.3]]])  # best: 1
    assert sources(entropy_1, entropy_2, count=1, grid=2).tolist() == [[3, 1, 2, 3]]


def test_lists_are_matched_by_position():
    entropy_1 = torch.tensor([[[0.9, 0.8, 0.5], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]])
    entropy_2 = torch.tensor([[[0.5, 0.5, 0.5], [0.5, 0.9, 0.8], [0.5, 0.2, 0.1]]])
    index = sources(entropy_1, entropy_2, count=2, grid=3)[0].tolist()
    # the worst (0) takes the better-than-best (7: entropy 0.2), the next (1) the best (8)
    assert index[0:2] == [7, 8]


def test_labels_go_with_their_pixels_and_keep_their_type():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 32, 32, generator=generator)
    labels = (images[:, 0] * 1000).long()
    maps = [torch.rand(2, 32, 32, generator=generator) for _ in range(2)]
    index = sources(*maps, count=2, grid=16)
    moved = exchange(labels, index, grid=16)
    assert moved.dtype == torch.int64
    assert moved.shape == labels.shape
    expected = (exchange(images, index, grid=16)[:, 0] * 1000).long()
    assert torch.equal(moved, expected)
    assert not torch.equal(moved, labels)


def test_cell_means():
    entropy = torch.arange(16.0).view(1, 4, 4)
    assert cell_means(entropy, 2).tolist() == [[2.5, 4.5, 10.5, 12.5]]
