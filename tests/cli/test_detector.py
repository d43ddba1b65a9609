"""`membrana score --detector`: nuclei by a learned detector, or a refusal in words."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.scores.detector import mounted
from tests.cli.conftest import Membrana
from tests.models.her2.mosaic import MPP, mixed, mosaic
from tests.nuclei import CARD, Smaller, mount


@pytest.fixture
def score(membrana: Membrana, tmp_path: Path):
    """Return a function that scores one mosaic with more words."""
    drawn = mosaic(mixed(0.3, "MC"), seed=4)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(drawn.image).save(tmp_path / "images" / "case.png")
    mask = drawn.mask.astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "masks" / "case.png")
    places = ("--mask", str(tmp_path / "masks"), "-o", str(tmp_path / "out"), "--mpp", str(MPP))
    return lambda *more: membrana("score", str(tmp_path / "images"), *places, *more)


def test_nuclei_are_found_by_the_detector_that_is_given(score, tmp_path: Path) -> None:
    weights = mount(tmp_path / "mounted")
    [usual] = json.loads(score().out)
    done = score("--detector", str(weights))
    assert done.code == 0, done.err
    [document] = json.loads(done.out)
    said = document["provenance"]
    assert said["detector_weights"] == mounted(weights).frozen()
    assert said["detector_weights"]["sha256"] in said["detector"]
    assert usual["provenance"]["detector"] == "log"
    assert document["score"] == usual["score"] == "2+"
    assert document["counts"] != usual["counts"]


@pytest.mark.parametrize(
    ("card", "code", "word"),
    [
        ({}, "detector_missing", "no nucleus detector"),
        ({"kind": "cellpose"}, "detector_missing", "Cellpose is not installed"),
        ({"sha256": "0" * 64}, "detector_invalid", "not the weights"),
    ],
)
def test_what_can_not_be_used_is_said_and_nothing_else_is_taken(
    score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: dict, code: str, word: str
) -> None:
    monkeypatch.setitem(sys.modules, "cellpose", None)
    weights = mount(tmp_path / "mounted", **card)
    if not card:
        weights.unlink()
    done = score("--detector", str(weights))
    assert done.code != 0
    assert word in done.err
    assert code in done.err
    assert not (tmp_path / "out" / "case.png.json").exists()


def test_a_detector_that_fails_on_a_picture_is_named(score, tmp_path: Path) -> None:
    done = score("--detector", str(mount(tmp_path / "mounted", Smaller())))
    assert done.code != 0
    assert CARD["name"] in done.err
    assert "detector_failed" in done.err
