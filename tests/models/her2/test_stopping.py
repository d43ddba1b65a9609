"""The rule to stop: against what happens when its places are reviewed; where nothing is open."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from models.her2.cells import OVERRIDDEN, Cells, classify, column_names, dtype_of, shape_of
from models.her2.classes import CLASSES, INDEX
from models.her2.pixels import Regions
from models.her2.protocols import load
from models.her2.slide_score import summarise
from models.her2.stopping import ENOUGH, Open, open_share, rule
from models.her2.transitions import (
    BINS,
    GONE,
    Bank,
    kinds_of,
    label_of_kind,
    looks,
    normed,
    shipped,
    transitions,
)

BREAST = load("asco_cap_2023_breast")
BIOPSY = load("hercep_gastric_biopsy")
SIDE_PX = 4096
WHOLE = Regions.of([shapely.box(0, 0, SIDE_PX, SIDE_PX)])
MIDDLE = {"N": 0.02, "F": 0.15, "W": 0.3, "M": 0.5, "I": 0.8}


def slide(shares, n=4000, seed=0, protocol=BREAST):
    """Cells of the given classes on 16 × 16 places, measured in the middle of each class."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(shares), n, p=list(shares.values()))
    columns = {name: np.zeros((n, *shape_of(name)), dtype_of(name)) for name in column_names()}
    columns["x"], columns["y"] = rng.uniform(40, SIDE_PX - 40, (2, n))
    columns["intensity"] = np.array([MIDDLE[name[0]] for name in names], np.float32)
    part = {"N": 0.0, "P": 0.4, "C": 0.95}
    columns["unshared"] = np.array([part[name[-1]] for name in names], np.float32)
    columns["contour_um"] = np.full(n, 30, np.float32)
    columns["label"] = classify(columns["unshared"], columns["intensity"], protocol)
    assert [CLASSES[each] for each in columns["label"]] == list(names)
    return Cells(mpp=0.25, **columns)


def place_of(cells):
    return (cells.y // 256).astype(np.int64) * 16 + (cells.x // 256).astype(np.int64)


def stop_of(cells, protocol=BREAST, bank=None, done=(), **more):
    included = np.ones(len(cells), np.bool_)
    opened = Open.of(cells, included, place_of(cells), WHOLE, protocol)
    document = summarise(cells.tile_counts(protocol), protocol)
    readable = ~np.isin(opened.place, list(done))
    return rule(document, protocol, opened, readable, bank or shipped(), **more), document


def reviewed(cells, places):
    """The same cells, those of some places on a person's mask."""
    here = np.isin(place_of(cells), places)
    return replace(cells, reviewed_um=np.where(here, cells.contour_um, cells.reviewed_um))


def bank_of(*tables, spread=1.0):
    return Bank(np.asarray(tables, np.float64), spread, "none")


def faithful(wrong=0.0, into="N"):
    """A phantom of 500 cells of each kind; a share of the stained ones is really another class."""
    table = np.zeros((BINS, len(CLASSES) + 1))
    label = label_of_kind()
    table[np.arange(BINS), label] = 500
    stained = label > 0
    table[stained, label[stained]] -= 500 * wrong
    table[stained, INDEX[into]] += 500 * wrong
    return table


def test_every_cell_has_a_kind_of_its_class():
    cells = slide(dict.fromkeys(CLASSES, 1 / 9))
    kinds = kinds_of(cells, BREAST)
    assert (label_of_kind()[kinds] == cells.label).all()
    assert len(label_of_kind()) == BINS
    more = replace(
        cells, unshared=np.where(cells.unshared == 0.4, 0.6, cells.unshared).astype("f4")
    )
    changed = kinds_of(more, BREAST) != kinds
    assert (changed == (cells.unshared == np.float32(0.4))).all()


def test_what_became_of_cells_is_counted_once():
    before = slide({"N": 0.5, "FP": 0.5}, n=300)
    rng = np.random.default_rng(1)
    stay = rng.permutation(300)[:250]
    after = before.take(np.sort(stay))
    label = np.where(after.label > 0, INDEX["WC"], 0).astype(np.uint8)
    after = replace(after, label=label)
    table = transitions(before, after, BREAST)
    assert table.sum() == 300
    assert table[:, GONE].sum() == 50
    assert table[:, INDEX["WC"]].sum() == (label > 0).sum()
    # cells that appear are spread over all kinds that there were
    more = Cells.join([after, slide({"IC": 1.0}, n=40, seed=5)], 0.25).in_order()
    born = transitions(before, more, BREAST)
    assert born[:, INDEX["IC"]].sum() == pytest.approx(40, abs=3)
    assert transitions(before.take(np.zeros(0, np.intp)), after, BREAST).sum() == 0


def test_all_reviewed_is_met_and_certain_whatever_the_bank_says():
    cells = slide({"N": 0.85, "FP": 0.15})
    everything = reviewed(cells, np.arange(256))
    stop, _ = stop_of(everything, bank=bank_of(faithful(0.9)), done=range(256))
    # the border alone may move a count; it moves all classes together
    assert stop.met
    assert stop.confidence >= ENOUGH
    assert not len(stop.places)
    words = replace(cells, flags=np.full(len(cells), OVERRIDDEN, np.uint16))
    assert (open_share(words) == 0).all()
    assert stop_of(words, bank=bank_of(faithful(0.9)))[0].met


def test_without_a_category_nothing_is_said():
    stop, document = stop_of(slide({"N": 1.0}, n=60))
    assert document["reason"] == "too_few_cells"
    assert (stop.met, stop.confidence, stop.after_them) == (False, None, None)
    assert (len(stop.places), stop.chances) == (0, {})


def test_far_from_any_threshold_one_may_stop_at_once():
    stop, document = stop_of(slide({"N": 0.2, "IC": 0.8}), bank=bank_of(faithful(0.1)))
    assert document["score"] == "3+"
    assert stop.met
    assert stop.confidence > 0.99
    assert not len(stop.places)


def test_after_the_places_that_are_named_none_can():
    cells = slide({"N": 0.88, "FP": 0.12})
    bank = bank_of(*(faithful(wrong) for wrong in np.linspace(0, 0.5, 40)))
    stop, document = stop_of(cells, bank=bank)
    assert document["score"] == "1+"
    assert not stop.met
    assert next(iter(stop.chances)) == "0+"
    assert 0 < len(stop.places) < 256
    assert stop.after_them >= ENOUGH
    # reviewed one after the other with nothing changed, the rule is met at the last of them
    few = stop_of(reviewed(cells, stop.places[:-1]), bank=bank, done=stop.places[:-1])[0]
    assert not few.met
    all_of_them = stop_of(reviewed(cells, stop.places), bank=bank, done=stop.places)[0]
    assert all_of_them.met
    assert all_of_them.confidence == pytest.approx(stop.after_them, abs=0.02)
    assert not len(all_of_them.places)


def test_the_first_place_has_the_most_cells_that_could_turn_it():
    cells = slide({"N": 0.88, "FP": 0.12})
    bank = bank_of(*(faithful(wrong) for wrong in np.linspace(0, 0.5, 40)))
    stop = stop_of(cells, bank=bank)[0]
    stained = np.bincount(place_of(cells)[cells.label > 0], minlength=256)
    rest = np.setdiff1d(np.arange(256), stop.places)
    assert stained[stop.places].min() >= stained[rest].max()
    assert (np.diff(stained[stop.places]) <= 0).all()


def test_what_is_seen_of_a_slide_outweighs_phantoms():
    cells = slide({"N": 0.88, "FP": 0.12})
    bank = bank_of(*(faithful(wrong) for wrong in np.linspace(0, 0.5, 40)))
    blind = stop_of(cells, bank=bank)[0]
    good = stop_of(cells, bank=bank, seen=faithful() / 5)[0]
    # as the tables say, without the room that the width leaves
    bad = stop_of(cells, bank=bank, seen=faithful(0.5) / 5, width=1.0)[0]
    assert good.confidence > ENOUGH > blind.confidence > bad.confidence
    assert bad.confidence < 0.1
    assert bad.chances["0+"] > 0.9


def test_the_same_slide_gives_the_same_answer_in_any_order():
    cells = slide({"N": 0.88, "FP": 0.12})
    mixed = cells.take(np.random.default_rng(3).permutation(len(cells)))
    one, other = stop_of(cells)[0], stop_of(mixed)[0]
    assert one.chances == other.chances
    assert one.places.tolist() == other.places.tolist()


def test_categories_that_are_printed_alike_are_one():
    merged = replace(BREAST, merge_zero_plus=True)
    cells = slide({"N": 0.985, "FP": 0.015})
    apart = stop_of(cells)[0]
    together, document = stop_of(cells, merged)
    assert document["score"] == "0+"
    assert "0" in apart.chances
    assert "0" not in together.chances
    assert "0+" not in together.chances
    assert together.confidence > apart.confidence


def test_clusters_of_a_biopsy_have_a_rule_too():
    protocol = BIOPSY
    strong = slide({"N": 0.3, "IC": 0.7}, protocol=protocol)
    stop, document = stop_of(strong, protocol, bank=bank_of(faithful(0.1)))
    assert document["score"] == "3+"
    assert stop.met
    lone = slide({"N": 0.98, "FP": 0.02}, protocol=protocol)
    unsure, _ = stop_of(lone, protocol)
    assert not unsure.met
    assert len(unsure.chances) >= 1


def test_the_shipped_bank_is_whole():
    bank = shipped()
    assert bank.transitions.shape[1:] == (BINS, len(CLASSES) + 1)
    assert (bank.transitions >= 0).all()
    assert bank.spread > 0
    nothing = np.zeros((BINS, len(CLASSES) + 1))
    tables = bank.tables(nothing)
    # of kinds that no phantom has nothing is known
    empty = bank.transitions.sum(axis=(0, 2)) == 0
    assert np.allclose(tables.sum(axis=2)[:, ~empty], 1)
    weights = bank.weights(bank.transitions[0].sum(axis=1), nothing)
    assert weights.sum() == pytest.approx(1)
    assert weights.argmax() == 0, "a phantom is most like itself"
    assert np.allclose((looks(np.eye(BINS)) ** 2).sum(axis=1), 1)
    assert np.allclose(normed(np.ones((2, 4))), 0.25)
