"""Readers against each other, and the computed category in each reader's place."""

import json

import numpy as np
import pytest

from models.her2.classes import NOT_ASSESSABLE, SCORES
from models.her2.readers import compare_readers, consensus


@pytest.mark.parametrize(
    ("votes", "found"),
    [
        (["2+", "2+", "3+"], "2+"),
        (["2+", "3+"], None),
        (["1+", "2+", "3+"], None),
        (["2+", "", ""], "2+"),
        (["2+", "2+", "1+", "1+"], None),
        (["", ""], None),
        ([], None),
    ],
)
def test_a_consensus_is_the_most_frequent_category_and_never_guessed(votes, found):
    assert consensus(votes) == found


def read(g, truth, error):
    """A reader's categories: the truth, moved by one step at a rate."""
    moved = truth + np.where(g.random(len(truth)) < error, g.choice([-1, 1], len(truth)), 0)
    return [SCORES[each] for each in moved.clip(0, 4)]


def slides(machine_error, n=400, seed=0):
    g = np.random.default_rng(seed)
    truth = g.integers(0, 5, n)
    readers = {name: read(g, truth, 0.25) for name in ("a", "b", "c")}
    return readers, read(g, truth, machine_error), [str(each) for each in range(n)]


def test_kappas_by_hand():
    readers = {"a": ["0", "0", "3+", "3+"], "b": ["0", "0", "3+", "0"]}
    found = compare_readers(readers, ["0", "3+", "3+", "3+"], ["p", "q", "r", "s"])
    # a against b, which is all the rest: 3 of 4 agree, chance (2·3 + 2·1)/16 = 1/2
    assert found["a"]["kappa"]["reader"] == pytest.approx(0.5)
    # the computed one against b: 2 of 4 agree, chance (1·3 + 3·1)/16 = 3/8
    assert found["a"]["kappa"]["computed"] == pytest.approx((2 / 4 - 3 / 8) / (1 - 3 / 8))
    assert found["a"]["kappa"]["difference"] == pytest.approx(0.2 - 0.5)
    assert found["a"]["slides"] == 4


def test_a_better_machine_is_as_good_as_each_reader_and_a_worse_one_as_none():
    good, poor = compare_readers(*slides(0.05)), compare_readers(*slides(0.6))
    for name in "abc":
        assert good[name]["kappa"]["as_good"] is True
        assert poor[name]["kappa"]["as_good"] is False
        assert poor[name]["kappa"]["high"] < 0 < good[name]["kappa"]["low"]
    json.dumps(good, allow_nan=False)


def test_slides_without_a_consensus_of_the_others_or_a_category_count_nowhere():
    readers, machine, patients = slides(0.1)
    readers["a"][:10] = [""] * 10
    machine[10:15] = [NOT_ASSESSABLE] * 5
    found = compare_readers(readers, machine, patients)
    agreed = sum(one == other for one, other in zip(readers["b"], readers["c"], strict=True))
    unseen = sum(readers["b"][k] == readers["c"][k] for k in range(15))
    assert found["a"]["slides"] == agreed - unseen


def test_merged_categories_are_one():
    readers = {"a": ["0", "0+", "3+"], "b": ["0+", "0", "3+"]}
    apart = compare_readers(readers, ["0", "0", "3+"], ["p", "q", "r"])
    merged = compare_readers(readers, ["0", "0", "3+"], ["p", "q", "r"], merge_zero_plus=True)
    assert apart["a"]["kappa"]["reader"] < 1
    assert merged["a"]["kappa"]["reader"] == 1


def test_slides_of_one_patient_are_drawn_together():
    readers, machine, patients = slides(0.3, n=60)
    alone = compare_readers(readers, machine, patients)["a"]["kappa"]
    four = compare_readers(
        {name: said * 4 for name, said in readers.items()}, machine * 4, patients * 4
    )["a"]["kappa"]
    assert four["difference"] == pytest.approx(alone["difference"])
    assert four["high"] - four["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.15)


def test_what_is_undefined_is_none():
    for readers, computed, patients in (
        ({"a": [], "b": []}, [], []),
        ({"a": ["0", "0"], "b": ["0", "0"]}, ["0", "0"], ["p", "q"]),
        ({"a": ["0", "3+"]}, ["0", "3+"], ["p", "q"]),
    ):
        found = compare_readers(readers, computed, patients)["a"]["kappa"]
        assert set(found.values()) == {None}
    one = compare_readers({"a": ["0", "3+"], "b": ["0", "3+"]}, ["0", "3+"], ["p", "p"])["a"]
    assert (one["kappa"]["difference"], one["kappa"]["as_good"]) == (0, None)
