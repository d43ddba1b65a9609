"""Hashes that were written before hang on the exact bytes of JSON: they stay as they were."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import pytest

from backend.kit.canonical import canonical
from backend.learning.rounds.snapshot import Snapshot, SnapshotPatch
from backend.slides.patches.tables import PatchRole
from models.canonical import canonical as canonical_of_models
from models.cold_start import ColdStart
from models.phantom.spec import PhantomSpec

VALUE: Any = {"b": [1, 2.5, 1e-7, None, True], "a": {"µ": 'Größe "x"', "A": "\u2028"}}
TEXT = '{"a":{"A":"\\u2028","\\u00b5":"Gr\\u00f6\\u00dfe \\"x\\""},"b":[1,2.5,1e-07,null,true]}'

# of what stood in three places before one function wrote it
SNAPSHOT = "a0d44dfa3030073f5561363387b3f2f67c9b597de79143c38c529ba91ff3a288"
COLD_START_PARAMETERS = (
    *("white", "haematoxylin", "dab", "line_sigma_px", "surround_px", "ridge_od", "contrast_od"),
    *("brown_od", "thickest_px", "largest_lump_px", "softness"),
)
COLD_START = "bd165da32dcf74cf851ff9deeff04ea7aecdc81c10d522531368bb80d6078e5f"
PHANTOM = "d2cc4a1e1b17a7703e284dadcecf2b5fa676b72332fdd325ea5267fc3b0ae5cf"


def test_names_are_in_order_without_spaces_and_in_ascii() -> None:
    assert canonical(VALUE) == canonical_of_models(VALUE) == TEXT.encode()


def test_letters_may_stay_as_they_are() -> None:
    plain = TEXT.replace("\\u2028", "\u2028").replace("\\u00b5", "µ")
    plain = plain.replace("\\u00f6", "ö").replace("\\u00df", "ß")
    assert canonical(VALUE, ensure_ascii=False) == plain.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_models_refuse_what_is_no_number_in_json(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_of_models({"x": number})


def test_a_snapshot_keeps_the_name_that_it_always_had() -> None:
    patch = SnapshotPatch("a" * 64, 3, 7, PatchRole.TRAINING, "patch", "annotation", "b" * 64)
    assert Snapshot((patch,), "slide").sha256 == SNAPSHOT


def test_models_and_phantoms_keep_the_names_that_they_always_had() -> None:
    # as a cold start of that time wrote its parameters; today's has more of them
    today = asdict(ColdStart().parameters)
    parameters = {name: today[name] for name in COLD_START_PARAMETERS}
    document = canonical_of_models({"kind": "cold-start", **parameters})
    assert hashlib.sha256(document).hexdigest() == COLD_START
    assert json.loads(ColdStart().parameters_json()).items() >= json.loads(document).items()
    spec = PhantomSpec(width=4096, height=4096, seed=7)
    assert hashlib.sha256(spec.canonical_json()).hexdigest() == PHANTOM
