"""Boxes drawn, partners drawn, pixels pasted: compared with loops over pixels."""

import pytest
import torch

from models.semisup.paste import boxes, cut_boxes, partners, paste


def extent(mask):
    """Return the first and last row and column that are True, found by looking at each pixel."""
    inside = [(r, c) for r, row in enumerate(mask.tolist()) for c, each in enumerate(row) if each]
    rows, columns = zip(*inside, strict=True)
    return min(rows), max(rows), min(columns), max(columns), len(inside)


def test_a_box_is_whole_has_its_size_and_reaches_every_edge():
    torch.manual_seed(0)
    like = torch.zeros(400, 3, 12, 20)
    tops, lefts = set(), set()
    for mask in boxes(torch.full((400,), 0.5), torch.full((400,), 0.25), like):
        top, bottom, left, right, count = extent(mask)
        assert (bottom - top + 1, right - left + 1, count) == (6, 5, 30)
        tops.add(top)
        lefts.add(left)
    assert tops == set(range(7))
    assert lefts == set(range(16))


def test_each_image_has_its_own_sides():
    masks = boxes(torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.1]), torch.zeros(2, 1, 10, 10))
    assert masks.sum((1, 2)).tolist() == [50, 10]
    assert masks[1].all(0).sum() == 1


@pytest.mark.parametrize(("smallest", "largest"), [(0.1, 0.5), (0.25, 0.3)])
def test_cut_boxes_keep_their_area_and_vary_in_shape(smallest, largest):
    torch.manual_seed(1)
    areas, ratios = [], []
    for mask in cut_boxes(torch.zeros(200, 3, 64, 64), smallest=smallest, largest=largest):
        top, bottom, left, right, count = extent(mask)
        height, width = bottom - top + 1, right - left + 1
        assert count == height * width
        areas.append(count / 64**2)
        ratios.append(height / width)
    # sides are whole pixels
    assert smallest - 0.02 < min(areas) < smallest + 0.1 * (largest - smallest) + 0.02
    assert largest + 0.02 > max(areas) > largest - 0.1 * (largest - smallest) - 0.02
    assert 0.45 < min(ratios) < 0.7
    assert 1.4 < max(ratios) < 2.2


@pytest.mark.parametrize("count", [2, 3, 6])
def test_everybody_has_another_partner_and_is_one(count):
    torch.manual_seed(2)
    seen = set()
    for _ in range(50):
        partner = partners(torch.zeros(count, 3, 4, 4)).tolist()
        assert sorted(partner) == list(range(count))
        assert all(mine != other for mine, other in enumerate(partner))
        seen.add(tuple(partner))
    assert len(seen) == {2: 1, 3: 2}.get(count, len(seen))
    assert count < 6 or len(seen) > 20


def test_alone_one_is_its_own_partner():
    assert partners(torch.zeros(1, 3, 4, 4)).tolist() == [0]


def test_paste_takes_the_box_from_the_one_and_the_rest_from_the_other():
    torch.manual_seed(3)
    inside, outside = torch.rand(2, 3, 5, 6), torch.rand(2, 3, 5, 6)
    box = torch.rand(2, 5, 6) > 0.5
    images = paste(inside, outside, box)
    maps = paste(inside[:, 0], outside[:, 0], box)
    for image in range(2):
        for row in range(5):
            for column in range(6):
                source = inside if box[image, row, column] else outside
                place = (image, slice(None), row, column)
                assert torch.equal(images[place], source[place])
                assert maps[image, row, column] == source[image, 0, row, column]


def test_the_global_seed_draws_the_same_again():
    like = torch.zeros(3, 3, 16, 16)

    def draws():
        torch.manual_seed(7)
        return cut_boxes(like, smallest=0.1, largest=0.5), partners(like)

    for first, second in zip(draws(), draws(), strict=True):
        assert torch.equal(first, second)
