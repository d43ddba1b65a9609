"""Commands on files draw with what a new installation proposes with: the starter, or the rule."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.cold_start import ColdStart
from models.phantom import PhantomSpec, field
from models.starter import shipped
from tests.cli.conftest import Membrana
from worker.commands import weights


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    Image.fromarray(field(PhantomSpec(her2="3+", seed=4), 512).image).save(path)
    return path


def test_masks_come_from_the_starter_unless_the_rule_is_asked_for(
    membrana: Membrana, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {}
    for first in ("starter", "cold-start"):
        monkeypatch.setenv("MEMBRANA_FIRST_MODEL", first)
        done = membrana("segment", str(picture), "-o", str(tmp_path / first), "--mpp", "0.25")
        assert done.code == 0
        [drawn[first]] = json.loads(done.out)
    assert (drawn["starter"]["model"], drawn["starter"]["model_sha256"]) == (
        shipped().name,
        shipped().sha256,
    )
    assert drawn["cold-start"]["model_sha256"] == ColdStart().sha256
    masks = [np.asarray(Image.open(tmp_path / first / "field.png")) > 0 for first in drawn]
    assert all(0.02 < mask.mean() < 0.5 for mask in masks)
    assert not np.array_equal(*masks)


def test_a_damaged_starter_leaves_the_rule_and_says_so(
    membrana: Membrana,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MEMBRANA_FIRST_MODEL", "starter")
    monkeypatch.setattr("models.starter.FOLDER", tmp_path)
    assert weights.drawing(None).name == "cold-start"
    assert "can't be read" in caplog.text
