import json
import pickle
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from models.her2 import protocols
from models.her2.classes import CLASSES, SCORES
from models.her2.protocols import CALIBRATION_SCHEMA, ProtocolError, load, names, parse

FOLDER = Path(protocols.__file__).with_suffix("")
BREAST = (FOLDER / "asco_cap_2023_breast.toml").read_bytes()


def calibration(path, **changes):
    said = {
        "schema": CALIBRATION_SCHEMA,
        "protocol": "asco_cap_2023_breast",
        "on": "2026-03-01",
        "thresholds": {"t_faint": 0.08, "t_weak": 0.15, "t_moderate": 0.3, "t_intense": 0.45},
        "floor": {"permille": 25, "cells": 8},
        "stain": {"dab": [0.27, 0.57, 0.78]},
        **changes,
    }
    path.write_text(json.dumps(said))
    return path


def test_the_three_shipped_protocols():
    assert names() == ("asco_cap_2023_breast", "hercep_gastric_biopsy", "hercep_gastric_resection")
    for name in names():
        protocol = load(name)
        assert protocol.name == name
        assert protocol.sha256 == sha256((FOLDER / f"{name}.toml").read_bytes()).hexdigest()
        assert {row.score for row in protocol.table} <= set(SCORES)
        assert protocol.calibration is None
        assert pickle.loads(pickle.dumps(protocol)) == protocol


def test_the_cut_is_more_than_in_breast_and_at_least_in_stomach():
    cuts = {name: (load(name).comparator, load(name).cut_percent) for name in names()}
    assert cuts["asco_cap_2023_breast"] == (">", 10)
    assert cuts["hercep_gastric_resection"] == (">=", 10)
    assert load("hercep_gastric_biopsy").clusters == protocols.Clusters(20.0, 5, 2)


@pytest.mark.parametrize(("gap", "row"), [("0+", 5), ("1+", 5), ("2+", 4)])
def test_the_gap_policy_places_its_row(gap, row):
    table = load("asco_cap_2023_breast", gap=gap).table
    assert [each.reason for each in table].index("gap_pattern") == row
    assert table[row].score == gap
    assert len(table) == 9


def test_columns_add_up_the_groups():
    protocol = load("asco_cap_2023_breast")
    sets = [{CLASSES[column] for column in protocol.columns(row)} for row in protocol.table]
    assert sets[0] == {"IC"}
    assert sets[1] == {"IC", "WC", "MC"}
    assert sets[2] == {"IC", "WC", "MC", "MP", "IP"}
    assert sets[4] == set(CLASSES) - {"N"}


@pytest.mark.parametrize("name", ["asco", "../classes", ""])
def test_an_unknown_protocol_names_those_there_are(name):
    with pytest.raises(ProtocolError, match="hercep_gastric_biopsy"):
        load(name)


def test_a_gap_policy_that_is_not_on_offer_is_refused():
    with pytest.raises(ProtocolError, match="one of 0\\+, 1\\+, 2\\+"):
        load("asco_cap_2023_breast", gap="3+")
    with pytest.raises(ProtocolError, match="one of none"):
        load("hercep_gastric_resection", gap="1+")


def test_a_calibration_replaces_thresholds_and_floor_and_leaves_the_rules(tmp_path):
    path = calibration(tmp_path / "lab.json")
    protocol = load("asco_cap_2023_breast", calibration=path)
    assert protocol.intensity_cuts == (0.08, 0.15, 0.3, 0.45)
    assert (protocol.floor_permille, protocol.floor_cells) == (25, 8)
    assert protocol.c_full == 0.85
    assert protocol.calibration.on == "2026-03-01"
    assert protocol.calibration.sha256 == sha256(path.read_bytes()).hexdigest()
    assert protocol.calibration.stain == {"dab": (0.27, 0.57, 0.78)}
    plain = load("asco_cap_2023_breast")
    assert (protocol.sha256, protocol.table) == (plain.sha256, plain.table)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "other/1"},
        {"protocol": "hercep_gastric_biopsy"},
        {"thresholds": {"t_fain": 0.1}},
        {"thresholds": {"t_faint": 0.5}},
        {"thresholds": None},
        {"thresholds": {"t_faint": "a"}},
        {"floor": {"permille": 1.5}},
        {"stain": {"dab": [1, 2]}},
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(tmp_path, changes):
    with pytest.raises(ProtocolError):
        load("asco_cap_2023_breast", calibration=calibration(tmp_path / "lab.json", **changes))


def test_a_file_that_is_no_calibration_is_refused(tmp_path):
    (tmp_path / "lab.json").write_text("[1]")
    with pytest.raises(ProtocolError, match="not a calibration"):
        load("asco_cap_2023_breast", calibration=tmp_path / "lab.json")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b'faint = ["FP", "WP", "FC"]', b'faint = ["FP", "WP"]', "exactly one group"),
        (b'faint = ["FP", "WP", "FC"]', b'faint = ["FP", "WP", "FC", "IC"]', "exactly one group"),
        (b'{ when = "otherwise", score = "0", reason = "no_staining" },', b"", "otherwise"),
        (b'when = "any"', b'when = "some"', "`when`"),
        (b'of = ["intense_complete"], score = "3+"', b'of = ["x"], score = "3+"', "names groups"),
        (b'score = "3+"', b'score = "4+"', "a score is one of"),
        (b', gap = ["1+", "0+"]', b', gap = ["1+"]', "cover the gap policies"),
        (b', gap = ["2+"]', b"", "names its policies"),
        (b'comparator = ">"', b'comparator = "<"', "comparator"),
        (b"percent = 10\n", b"percent = 10.5\n", "whole numbers"),
        (b"minimum = 100", b"minimum = 600", "minimum"),
        (b"t_weak = 0.20", b"t_weak = 0.90", "t_faint < t_weak"),
        (b"c_full = 0.85", b"c_full = 1.85", "c_full"),
        (b'no_staining = "No', b'nothing = "No', "words"),
        (b'bars = ["no_tumour_region"', b'bars = ["no_tumor"', "fatal"),
        (b"resolution = [", b"borderline = [", "limiting"),
        (b'when = "any"', b'when = "clustered"', "clusters"),
        (b"version =", b"version", "not a protocol"),
        (b"[floor]", b"[flor]", "not a protocol"),
    ],
)
def test_a_table_that_could_go_wrong_is_refused(old, new, rule):
    assert old in BREAST
    with pytest.raises(ProtocolError, match=rule):
        parse(BREAST.replace(old, new))


def test_a_changed_rule_is_another_protocol():
    changed = parse(BREAST.replace(b"percent = 10\n", b"percent = 30\n"))
    assert changed.sha256 != load("asco_cap_2023_breast").sha256
    assert changed.cut_percent == 30


def test_a_protocol_cannot_be_changed_into_nonsense():
    with pytest.raises(ProtocolError, match="whole numbers"):
        replace(load("asco_cap_2023_breast"), min_cells=99.5)
