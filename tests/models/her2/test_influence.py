"""Influence: its turns against decide(), its chances against drawn errors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.cells import OVERRIDDEN, Cells, classify, column_names, dtype_of, shape_of
from models.her2.classes import CLASSES, INDEX
from models.her2.decision import decide
from models.her2.flags import Flag
from models.her2.influence import (
    DOUBTFUL,
    ERROR_OF_PERSON,
    ERROR_OF_PROPOSAL,
    chances,
    doubt,
    flips,
    influence,
    turns,
)
from models.her2.protocols import load
from models.her2.slide_score import summarise
from tests.models.her2.tables import table
from tests.models.her2.test_decision import BREAST, RESECTION, of_1000, vector
from tests.models.her2.test_decision_properties import slides

PLAIN = BREAST["1+"]
EVERY = [*BREAST.values(), RESECTION]


def scored(counts, protocol=PLAIN, flags=()):
    return summarise(table([counts]), protocol, flags=flags)


def moved(counts, into, number, *, leave):
    """Take `number` cells out of classes that may be left, the first of CLASSES first."""
    counts = np.array(counts)
    for column in sorted(leave):
        some = min(number, counts[column])
        counts[column] -= some
        counts[into] += some
        number -= some
    assert number == 0
    return counts


def cells_of(n, **columns):
    """Cells with the given columns, everything else 0, classified as PLAIN does."""
    every = {name: np.zeros((n, *shape_of(name)), dtype_of(name)) for name in column_names()}
    for name, values in columns.items():
        every[name] = np.broadcast_to(np.asarray(values, dtype_of(name)), every[name].shape).copy()
    return Cells(mpp=0.25, **every).relabelled(PLAIN)


@settings(max_examples=40, deadline=None)
@given(slides(), st.sampled_from(EVERY))
def test_joining_cells_turn_the_category_at_the_named_number_and_not_before(counts, protocol):
    for turn in turns(scored(counts, protocol), protocol):
        if not turn.joins:
            continue
        outside = set(range(len(CLASSES))) - set(turn.columns)
        after, before = (
            {
                (verdict.score, verdict.reason)
                for column in turn.columns
                for verdict in [decide(moved(counts, column, k, leave=outside), protocol)]
            }
            for k in (turn.flips, turn.flips - 1)
        )
        # a test that holds as well, and gives the same, may stand before it in the table
        assert turn.score in {score for score, _ in after}
        assert turn.test not in {reason for _, reason in before}


@settings(max_examples=40, deadline=None)
@given(slides(), st.sampled_from(EVERY))
def test_fewer_leaving_cells_than_named_never_change_the_category(counts, protocol):
    now = decide(counts, protocol).score
    for turn in turns(scored(counts, protocol), protocol):
        assert turn.score != now
        if not turn.joins:
            there = moved(counts, INDEX["N"], turn.flips - 1, leave=turn.columns)
            assert decide(there, protocol).score == now


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        # 1,000 cells: 101 intense complete are over 10 %, one fewer is 2+
        ({"IC": 101}, [("intense_complete_gt10", False, 1, "2+")]),
        # three sums lie over the cut for 2+; below them is the floor of 10 cells for intense ones
        (
            {"WC": 110, "MP": 20},
            [
                ("intense_complete_gt10", True, 101, "3+"),
                ("moderate_intense_incomplete_gt10", False, 30, "1+"),
            ],
        ),
        (
            {"FP": 95},
            [
                ("intense_complete_gt10", True, 101, "3+"),
                ("weak_moderate_complete_gt10", True, 101, "2+"),
                ("moderate_intense_incomplete_gt10", True, 101, "2+"),
                ("intense_complete_le10", True, 10, "2+"),
                ("faint_incomplete_gt10", True, 6, "1+"),
                ("gap_pattern", True, 10, "1+"),
                ("faint_incomplete_le10", False, 86, "0"),
            ],
        ),
    ],
)
def test_turns_by_hand(named, expected):
    counts = vector(of_1000(**named))
    found = turns(scored(counts), PLAIN)
    assert [(each.test, each.joins, each.flips, each.score) for each in found] == expected


def test_without_a_category_there_is_nothing_to_turn():
    assert turns(scored(vector({"IC": 50})), PLAIN) == ()
    barred = scored(vector(of_1000(IC=101)), flags=[Flag("control_failed")])
    assert turns(barred, PLAIN) == ()
    assert turns(scored(vector({})), PLAIN) == ()


def test_categories_that_are_not_told_apart_are_one():
    counts = vector(of_1000(FP=99))
    found = turns(scored(counts, flags=[Flag("resolution")]), PLAIN)
    assert {turn.score for turn in found} == {"2+", "3+"}
    assert "faint_incomplete_gt10" in {turn.test for turn in turns(scored(counts), PLAIN)}


def test_clusters_turn_by_the_cells_that_lie_in_them():
    biopsy = load("hercep_gastric_biopsy")
    tiles = replace(table([vector({"IP": 4, "N": 300})]), clustered=np.array([[0, 0, 0]], np.int32))
    found = turns(summarise(tiles, biopsy), biopsy)
    assert [(each.score, each.flips) for each in found] == [("3+", 5), ("2+", 5), ("1+", 5)]


def test_another_protocols_score_is_refused():
    with pytest.raises(ValueError, match="not by hercep"):
        turns(scored(vector({"N": 200})), RESECTION)
    with pytest.raises(ValueError, match="score by"):
        turns(scored(vector({"N": 200})), BREAST["2+"])


shares = st.floats(0, 1, width=32)


@settings(max_examples=40, deadline=None)
@given(shares, st.floats(0, 1.5, width=32), shares, st.integers(0, 2**31))
def test_chances_are_those_of_drawn_errors(unshared, intensity, unreviewed, seed):
    one = [np.array([each], np.float32) for each in (unshared, intensity, unreviewed)]
    [found] = chances(*one, PLAIN)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert found.min() >= -1e-6
    generator, draws = np.random.default_rng(seed), 4000
    width_c, width_i = (
        person + unreviewed * (proposal - person)
        for person, proposal in zip(ERROR_OF_PERSON, ERROR_OF_PROPOSAL, strict=True)
    )
    label = classify(
        generator.normal(unshared, width_c, draws),
        generator.normal(intensity, width_i, draws),
        PLAIN,
    )
    # five standard errors of the widest share
    seen = np.bincount(label, minlength=len(CLASSES)) / draws
    np.testing.assert_allclose(found, seen, atol=5 * 0.5 / np.sqrt(draws))


def test_a_persons_mask_leaves_less_doubt():
    # c* of 0.80 lies five hundredths below complete; 0.5 is amid the moderate ones
    drawn = {"unshared": 0.80, "intensity": 0.5, "contour_um": 20.0}
    proposal, reviewed = (
        doubt(cells_of(1, reviewed_um=each, **drawn), np.ones(1, bool), PLAIN)[0]
        for each in (0.0, 20.0)
    )
    assert proposal[INDEX["MC"]] > 2 * reviewed[INDEX["MC"]] > DOUBTFUL / 2
    assert reviewed[INDEX["MP"]] > 0.9


def test_what_a_person_decided_is_in_no_doubt():
    cells = cells_of(3, unshared=0.84, intensity=0.59)
    cells.flags[1] = OVERRIDDEN
    cells.label[1] = INDEX["IC"]
    chance = doubt(cells, np.array([True, True, False]), PLAIN)
    assert chance[0].max() < 0.5
    assert chance[1].tolist() == [float(name == "IC") for name in CLASSES]
    assert not chance[2].any()


@st.composite
def fields(draw):
    """Cells at random measures on 12 places, all on proposals, and a score near a threshold."""
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    n = draw(st.integers(100, 400))
    place = generator.integers(0, 12, n)
    cells = cells_of(n, unshared=generator.uniform(0, 1, n), intensity=generator.uniform(0, 0.8, n))
    return cells, place


@settings(max_examples=30, deadline=None)
@given(fields())
def test_places_add_up_and_more_flips_needed_weigh_less(field):
    cells, place = field
    everyone = np.ones(len(cells), bool)
    chance = doubt(cells, everyone, PLAIN)
    for turn in turns(scored(cells.counts), PLAIN):
        apart = influence(chance, cells.label, place, (turn,))
        [whole] = influence(chance, cells.label, place * 0, (turn,)).expected or [0.0]
        left_out = 12 * DOUBTFUL
        assert whole - left_out <= apart.expected.sum() <= whole + 1e-6
        assert (np.diff(apart.place) > 0).all()
        assert (apart.doubtful * DOUBTFUL <= apart.expected + 1e-9).all()
        harder = influence(chance, cells.label, place, (replace(turn, flips=2 * turn.flips),))
        np.testing.assert_allclose(harder.share, apart.share / 2)
        flip = flips(chance, cells.label, turn)
        member = np.isin(cells.label, turn.columns)
        assert not flip[member == turn.joins].any()


@settings(max_examples=30, deadline=None)
@given(fields())
def test_the_best_turn_of_a_place_is_kept(field):
    cells, place = field
    chance = doubt(cells, np.ones(len(cells), bool), PLAIN)
    ways = turns(scored(cells.counts), PLAIN)
    together = influence(chance, cells.label, place, ways)
    alone = [influence(chance, cells.label, place, (way,)) for way in ways]
    for number, share, turn in zip(together.place, together.share, together.turn, strict=True):
        best = max(float(each.share[each.place == number].sum()) for each in alone)
        assert share == pytest.approx(best)
        assert share == pytest.approx(
            together.expected[together.place == number] / ways[turn].flips
        )


def test_cells_near_the_cut_come_before_clear_ones():
    # 2+ by a hair: 11 % are complete. On place 1 they are surely so, on place 2 hardly
    unshared = np.array([0.0] * 178 + [1.0] * 11 + [0.87] * 11)
    cells = cells_of(200, unshared=unshared, intensity=np.where(unshared > 0, 0.5, 0.0))
    place = np.repeat([0, 1, 2], [178, 11, 11])
    ways = turns(scored(cells.counts), PLAIN)
    down = [way for way in ways if not way.joins]
    found = influence(doubt(cells, np.ones(200, bool), PLAIN), cells.label, place, tuple(down))
    assert found.place[found.share.argmax()] == 2
    assert found.doubtful[found.place == 2] == 11
    assert found.share.max() == pytest.approx(found.expected.max() / down[0].flips)


def test_nothing_in_doubt_is_nowhere():
    cells = cells_of(200, unshared=0.0, intensity=0.0)
    everyone = np.ones(200, bool)
    ways = turns(scored(cells.counts), PLAIN)
    assert ways
    found = influence(doubt(cells, everyone, PLAIN), cells.label, np.arange(200), ways)
    assert len(found.place) == 0
    none = influence(doubt(cells, everyone, PLAIN), cells.label, np.arange(200), ())
    assert len(none.place) == len(none.share) == 0
