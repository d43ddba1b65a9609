"""What bars, limits or questions an answer, of all protocols, against the second formulation."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.classes import CLASSES, NOT_ASSESSABLE
from models.her2.decision import decide
from models.her2.flags import FATAL, LIMITING, SEVERITY, WARNINGS
from models.her2.protocols import load
from tests.models.her2.guideline import (
    Breast,
    Floor,
    answered,
    gastric_resection,
    raises_a_question,
)
from tests.models.her2.test_decision import BIOPSY, BREAST, GAPS, RESECTION, flags, vector
from tests.models.her2.test_decision_properties import slides

FEW = (0, 1, 5, 99, 100, 101, 500)
ALL = [*BREAST.values(), RESECTION, BIOPSY]


def levels_of(counts, together):
    """The cells in clusters at each level of a biopsy, if all that are stained hang together."""
    cells = dict(zip(CLASSES, counts, strict=True))
    strong = cells["IP"] + cells["IC"]
    middle = cells["WP"] + cells["WC"] + cells["MP"] + cells["MC"]
    sizes = (strong, strong + middle, strong + middle + cells["FP"] + cells["FC"])
    return [size if together and size >= 5 else 0 for size in sizes]


def plain(counts, protocol, levels):
    """The category by the second formulation, were there no rule about cells and flags."""
    cells = dict(zip(CLASSES, counts, strict=True))
    if protocol is BIOPSY:
        named = zip(("3+", "2+", "1+"), levels, strict=True)
        return next((score for score, size in named if size), "0")
    if protocol is RESECTION:
        return gastric_resection(cells)[0]
    return Breast(cells, protocol.gap).says()[0]


@settings(max_examples=400, deadline=None)
@given(
    slides(0, FEW),
    st.sampled_from(ALL),
    st.sets(st.sampled_from(sorted(SEVERITY.keys() - {"too_few_cells"})), max_size=3),
    st.booleans(),
)
def test_what_takes_an_answer_away_agrees_with_the_second_formulation(
    counts, protocol, said, together
):
    breast = protocol.name.endswith("breast")
    levels = levels_of(counts, together)
    clustered = levels if protocol is BIOPSY else None
    verdict = decide(counts, protocol, barred=said, clustered=clustered)
    n = sum(counts)
    score = plain(counts, protocol, levels) if n else ""
    assert verdict.score == answered(score, n, said, breast=breast)
    assert (verdict.printed(protocol) == verdict.score) == (not verdict.among)
    assert not verdict.asks_for_ish(protocol) or verdict.score == "2+"


@pytest.mark.parametrize("n", range(95, 106))
@pytest.mark.parametrize("protocol", ALL, ids=lambda each: f"{each.name} {each.gap}")
def test_every_flag_and_number_of_cells_at_the_edge(protocol, n):
    breast = protocol.name.endswith("breast")
    for name, code in product(CLASSES, [*FATAL, *LIMITING, *WARNINGS, None]):
        counts = vector({"N": n - 20, name: 20} if name != "N" else {"N": n})
        levels = levels_of(counts, together=True)
        said = [code] if code else []
        clustered = levels if protocol is BIOPSY else None
        found = decide(counts, protocol, barred=said, clustered=clustered)
        meant = answered(plain(counts, protocol, levels), n, said, breast=breast)
        assert found.score == meant, (name, code)
        if meant == NOT_ASSESSABLE and n >= 100:
            assert found.reason == code


FLOORS = ((10, 5), (10, 12), (25, 5), (80, 5), (0, 1))


def with_floor(protocol, permille, cells):
    return replace(protocol, floor_permille=permille, floor_cells=cells)


def near_floor(n, permille, cells):
    at = permille * n // 1000
    around = {1, cells - 1, cells, cells + 1, at - 1, at, at + 1, n // 10, n // 10 + 1}
    return sorted(k for k in around if 0 < k <= n)


QUESTIONS = {"below_detection_limit", "intense_below_detection"}
"""Of all stained cells, or of the intense ones alone: fewer than can be told from chance."""


@pytest.mark.parametrize("floor", FLOORS, ids=str)
@pytest.mark.parametrize("n", [100, 101, 499, 500, 501, 999, 1000, 12345])
def test_the_detection_limit_is_exact_in_every_protocol(n, floor):
    permille, least = floor
    limit = Floor(Fraction(permille, 1000), least)
    protocols = [with_floor(protocol, *floor) for protocol in ALL]
    for protocol, name, k in product(protocols, CLASSES[1:], near_floor(n, *floor)):
        breast = protocol.name.endswith("breast")
        cells = {"N": n - k, name: k}
        clustered = (0, 0, 0) if protocol.clusters else None
        verdict = decide(vector(cells), protocol, clustered=clustered)
        case = (protocol.name, protocol.gap, cells)
        if breast:
            assert [verdict.score] == Breast(cells, protocol.gap, limit).says(), case
        asked = raises_a_question(cells, limit, breast=breast)
        assert bool(QUESTIONS & set(flags(verdict))) == asked, case


@settings(max_examples=300, deadline=None)
@given(slides(), st.sampled_from(FLOORS), st.sampled_from(GAPS))
def test_a_measured_floor_decides_as_the_protocols_own(counts, floor, gap):
    permille, least = floor
    limit = Floor(Fraction(permille, 1000), least)
    cells = dict(zip(CLASSES, counts, strict=True))
    breast = decide(counts, with_floor(BREAST[gap], *floor))
    assert [breast.score] == Breast(cells, gap, limit).says()
    asked = raises_a_question(cells, limit, breast=True)
    assert bool(QUESTIONS & set(flags(breast))) == asked
    resection = decide(counts, with_floor(RESECTION, *floor))
    assert [resection.score] == gastric_resection(cells), "in the stomach it decides nothing"
    asked = raises_a_question(cells, limit, breast=False)
    assert bool(QUESTIONS & set(flags(resection))) == asked


def test_the_shipped_protocols_have_the_floor_and_the_least_number_of_the_design():
    shipped = [load(name) for name in ("asco_cap_2023_breast", RESECTION.name, BIOPSY.name)]
    assert {(each.floor_permille, each.floor_cells) for each in shipped} == {(10, 5)}
    assert {each.min_cells for each in shipped} == {100}
