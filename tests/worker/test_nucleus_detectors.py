"""Learned nucleus detectors: real TorchScript modules, and libraries that are not there."""

import json
import sys
from functools import lru_cache

import numpy as np
import pytest

from backend.her2.scores.detector import SHIPPED, DetectorUnusable, mounted
from models.her2.cells import column_names
from models.her2.nuclei import NUCLEI_MPP, View
from models.her2.pixels import Field
from models.her2.tiles import measure
from models.nuclei.shipped import GRID
from models.nuclei.windows import Grid
from tests.models.her2.mosaic import MPP, SETTINGS, inner, mixed, mosaic
from tests.support.nuclei import CARD, Halves, Smaller, mount
from worker.her2.detector import detector, detector_of


@lru_cache
def drawn():
    return mosaic(mixed(0.5, "MC"), side_px=1024, seed=3)


def field_of(mask=None):
    return Field(drawn().image, MPP, drawn().mask if mask is None else mask)


def measured(field, path, **more):
    """Measure with what is mounted at a path; None is what comes with Membrana."""
    options = {"regions": inner(field), "settings": SETTINGS, "workers": 1} | more
    finder = detector(SHIPPED if path is None else mounted(path))
    return measure(field, field.masks, **options, detector=finder)


def same(a, b):
    assert len(a) == len(b) > 100
    for name in column_names():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_a_torchscript_module_finds_the_nuclei_that_cells_are_measured_from(tmp_path):
    field = field_of()
    cells = measured(field, mount(tmp_path)).cells
    places = drawn()
    within = (places.x > 80) & (places.x < 944) & (places.y > 80) & (places.y < 944)
    away = np.hypot(
        places.x[within, None] + 0.5 - cells.x, places.y[within, None] + 0.5 - cells.y
    ).min(axis=1)
    assert np.mean(away * MPP < 2) > 0.9
    usual = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1).cells
    assert not np.array_equal(cells.x, usual.x)
    assert np.mean(cells.label == 6) == pytest.approx(np.mean(usual.label == 6), abs=0.1)


@pytest.mark.parametrize("shipped", [False, True])
def test_tiles_threads_and_local_edits_see_the_same_nuclei(tmp_path, shipped):
    path = None if shipped else mount(tmp_path)
    whole = measured(field_of(), path)
    same(whole.cells, measured(field_of(), path, tile_px=300, workers=4).cells)
    same(whole.cells, measured(field_of(), path).cells)
    mask = drawn().mask.copy()
    mask[300:364, 300:364] = False
    edited = field_of(mask)
    part = measured(edited, path, within=[(300, 300, 364, 364)], known=whole.survey)
    assert 0 < len(part.cells) < len(whole.cells)
    same(part.put_into(whole.cells), measured(edited, path).cells)


@pytest.mark.parametrize("shipped", [False, True])
def test_a_nucleus_between_two_windows_is_one(tmp_path, shipped):
    """Cores end every 192 or 288 µm: the mosaic has several cells right there."""
    core = (GRID if shipped else Grid()).core * NUCLEI_MPP
    wide = mosaic(mixed(0.5, "MC"), side_px=1400, seed=3)
    field = Field(wide.image, MPP, wide.mask)
    cells = measured(field, None if shipped else mount(tmp_path)).cells
    edge = np.abs(cells.x * MPP - core) < 8
    assert edge.sum() > 5
    apart = np.hypot(cells.x[edge, None] - cells.x, cells.y[edge, None] - cells.y)
    assert np.sort(apart, axis=1)[:, 1].min() * MPP > 3


def test_a_network_of_another_resolution_draws_at_the_same_places(tmp_path):
    fine = measured(field_of(), mount(tmp_path / "a")).cells
    coarse = measured(field_of(), mount(tmp_path / "b", mpp=0.6)).cells
    assert len(coarse) == pytest.approx(len(fine), rel=0.15)
    away = np.hypot(coarse.x[:, None] - fine.x, coarse.y[:, None] - fine.y).min(axis=1)
    assert np.median(away) * MPP < 1


def test_a_detector_has_a_name_and_a_hash_that_follow_its_file(tmp_path):
    path = mount(tmp_path)
    found = mounted(path)
    assert found.frozen() == CARD | {"percentiles": [0.1, 99.9], "sha256": found.sha256}
    assert detector_of(str(path), found.frozen()).name == "blue-peaks"
    assert detector_of(str(path), None) is None
    assert detector_of("log", SHIPPED.frozen()).name == SHIPPED.name, "whatever is chosen by now"
    mount(tmp_path, Halves())
    with pytest.raises(DetectorUnusable, match="mount the former again") as other:
        detector_of(str(path), found.frozen())
    assert other.value.problem_code == "detector_changed"
    with pytest.raises(DetectorUnusable, match="MEMBRANA_NUCLEUS_DETECTOR") as none:
        detector_of("", found.frozen())
    assert none.value.problem_code == "detector_missing"


def test_a_folder_is_a_detector_too(tmp_path):
    path = mount(tmp_path / "one")
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / "nuclei.pt")
    (folder / "detector.json").write_text(json.dumps(CARD))
    before = mounted(folder)
    assert before.weights == folder / "nuclei.pt"
    (folder / "other.pt").write_bytes(b"more")
    with pytest.raises(DetectorUnusable, match="2 files that may be the weights"):
        mounted(folder)
    (folder / "detector.json").write_text(json.dumps(CARD | {"file": "nuclei.pt"}))
    assert mounted(folder).sha256 != before.sha256
    (folder / "detector.json").write_text(json.dumps(CARD | {"file": "../one/nuclei.json"}))
    with pytest.raises(DetectorUnusable, match="has no file"):
        mounted(folder)


@pytest.mark.parametrize(
    ("card", "code", "word"),
    [
        (None, "detector_missing", "name, kind, mpp and licence"),
        ("{", "detector_invalid", "not valid JSON"),
        ({"kind": "hovernet"}, "detector_invalid", "kind"),
        ({"licence": ""}, "detector_invalid", "licence"),
        ({"mpp": 40}, "detector_invalid", "mpp"),
        ({"sha256": "0" * 64}, "detector_invalid", "not the weights"),
        ({"kind": "stardist"}, "detector_invalid", "folders with a config.json"),
    ],
)
def test_a_card_that_does_not_do_is_refused_in_words(tmp_path, card, code, word):
    path = mount(tmp_path)
    beside = tmp_path / "nuclei.json"
    if card is None:
        beside.unlink()
    else:
        beside.write_text(card if isinstance(card, str) else json.dumps(CARD | card))
    with pytest.raises(DetectorUnusable, match=word) as refused:
        mounted(path)
    assert refused.value.problem_code == code


def test_what_is_absent_or_no_module_is_refused_in_words(tmp_path):
    with pytest.raises(DetectorUnusable, match="There is no nucleus detector") as missing:
        mounted(tmp_path / "none.pt")
    assert missing.value.problem_code == "detector_missing"
    path = mount(tmp_path)
    path.write_bytes(b"these are no weights")
    with pytest.raises(DetectorUnusable, match="no TorchScript module") as invalid:
        detector(mounted(path))
    assert invalid.value.problem_code == "detector_invalid"


@pytest.mark.parametrize(
    ("module", "word"), [(Halves(), "whole numbers"), (Smaller(), "label map of its size")]
)
def test_an_answer_that_is_no_label_map_is_refused_in_words(tmp_path, module, word):
    found = detector(mounted(mount(tmp_path, module)))
    field = field_of()
    view = View(field, 0, 0, field.read(0, 0, 256, 256, NUCLEI_MPP))
    with pytest.raises(DetectorUnusable, match=word) as failed:
        found(view)
    assert failed.value.problem_code == "detector_failed"


@pytest.mark.parametrize(("kind", "library"), [("stardist", "StarDist"), ("cellpose", "Cellpose")])
def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch, kind, library):
    monkeypatch.setitem(sys.modules, kind, None)
    path = tmp_path / "weights"
    path.mkdir()
    (path / "model").write_bytes(b"weights")
    (path / "detector.json").write_text(json.dumps(CARD | {"kind": kind}))
    with pytest.raises(DetectorUnusable, match=f"{library} is not installed") as missing:
        detector(mounted(path))
    assert missing.value.problem_code == "detector_missing"
