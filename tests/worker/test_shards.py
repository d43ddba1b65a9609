"""Shards: planned, read ahead, stored."""

import threading

import pytest

from worker import shards
from worker.shards import Spot


def test_plan_groups_by_shard_in_order() -> None:
    spots = [Spot(f"{row},{column}", row, column) for column in range(17) for row in (9, 0)]
    plans = shards.plan(spots)
    assert [plan.place for plan in plans] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [spot.column for spot in plans[0].spots] == list(range(8))
    assert sum(len(plan.spots) for plan in plans) == len(spots)


def test_reading_ahead_keeps_order_and_hands_on_errors() -> None:
    main = threading.get_ident()

    def work(item: int) -> tuple[int, bool]:
        if item == 3:
            raise OSError("the disk")
        return item, threading.get_ident() != main

    results = shards.ahead([0, 1, 2, 3], work)
    assert [next(results) for _ in range(3)] == [(0, True), (1, True), (2, True)]
    with pytest.raises(OSError, match="the disk"):
        next(results)


def test_the_stored_entropy_is_one_bit_where_nothing_is_known() -> None:
    assert shards.ENTROPY[0] == shards.ENTROPY[255] == 0
    assert shards.ENTROPY[128] == shards.ENTROPY.max() == 255
