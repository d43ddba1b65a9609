"""`membrana segment`: files in, masks out, on real fields; a bad file stops no other."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import torch
from PIL import Image

from models.blending import predict_region
from models.cold_start import ColdStart
from models.inference.calibration import Calibration
from models.inference.choice import load
from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from tests.cli.conftest import Membrana, Outcome

FIELD = "her2_fields/EZEHER_10_4_Dos_Mas.jpg"
CORE = "wsi_her2/tma_3plus.svs"
"""Stained all over: of a core that is not, grey rims were once proposed in every part."""
SHARD = 2048


def told(said: Outcome) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


def read(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.array(image)


def brown(pixels: np.ndarray) -> np.ndarray:
    """How much less blue than red: what DAB does and haematoxylin does not."""
    return pixels[..., 0].astype(float) - pixels[..., 2]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    config = NetworkConfig("unet-small")
    path = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    save_ensemble(Ensemble(config, build(config), ()), path)
    return path


def test_a_real_field_has_a_mask_of_its_size_on_what_is_brown(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    field = shared_data / FIELD
    said = membrana("segment", str(field), "-o", str(out), "--mpp", "0.25", "--probability")
    assert said.code == 0, said.err
    [document] = told(said)
    pixels = np.array(Image.open(field))
    mask, likely = read(document["mask"]), read(document["probability"])
    assert mask.shape == likely.shape == pixels.shape[:2]
    assert Path(document["mask"]) == out / "EZEHER_10_4_Dos_Mas.png"
    assert set(np.unique(mask)) == {0, 255}
    assert document["membrane_fraction"] == pytest.approx((mask > 0).mean(), abs=1e-6)
    np.testing.assert_array_equal(mask > 0, likely >= 128)
    assert brown(pixels)[mask > 0].mean() > brown(pixels)[mask == 0].mean() + 20
    # at the analysis' own resolution nothing is resampled
    expected = predict_region(ColdStart(), pixels).probability[0] >= 0.5
    np.testing.assert_array_equal(mask > 0, expected)


def test_an_image_larger_than_a_shard_at_another_pixel_size(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    width, height = SHARD + 152, SHARD + 52
    with openslide.OpenSlide(shared_data / CORE) as core:
        cut = core.read_region((1700, 1700), 0, (width, height)).convert("RGB")
    cut.save(tmp_path / "core.png")
    out = tmp_path / "masks"
    said = membrana("segment", str(tmp_path / "core.png"), "-o", str(out), "--mpp", "0.3")
    assert said.code == 0, said.err
    mask, pixels = read(out / "core.png"), np.array(cut)
    assert mask.shape == (height, width)
    assert set(np.unique(mask)) == {0, 255}
    for part in (np.s_[:SHARD, :SHARD], np.s_[SHARD:, :], np.s_[:, SHARD:]):
        assert (mask[part] > 0).any(), "the parts beyond the shard are drawn too"
        inside, outside = mask[part] > 0, mask[part] == 0
        assert brown(pixels[part])[inside].mean() > brown(pixels[part])[outside].mean()


def test_networks_draw_with_their_tiles_blended(
    membrana: Membrana, shared_data: Path, tmp_path: Path, weights: Path
) -> None:
    with Image.open(shared_data / FIELD) as field:
        pixels = np.array(field.convert("RGB"))[:300, :420]
    Image.fromarray(pixels).save(tmp_path / "part.tif")
    out = tmp_path / "masks"
    words = ("-o", str(out), "--mpp", "0.25", "--model", str(weights), "--probability")
    said = membrana("segment", str(tmp_path / "part.tif"), *words)
    assert said.code == 0, said.err
    predictor = load(weights, threads=1)
    blended = predict_region(predictor, pixels).probability[0]
    # the last bit of a sum may be another in another process, and so a rounded half
    np.testing.assert_allclose(
        read(out / "probability" / "part.png").astype(int), np.rint(blended * 255), atol=1
    )
    [document] = told(said)
    assert document["predictor"] == predictor.backend
    assert document["model_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "Research Use Only" in document["research_use_only"]


def test_one_bad_file_stops_no_other(membrana: Membrana, shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("Dear colleague")
    (tmp_path / "a.png").write_bytes(b"")
    good = tmp_path / "good.png"
    with Image.open(shared_data / FIELD) as field:
        field.crop((0, 0, 256, 256)).save(good)
    given = (tmp_path / "letter.png", tmp_path / "none.png", good, tmp_path / "a.png")
    out = tmp_path / "masks"
    said = membrana("segment", *map(str, given), "-o", str(out), "--mpp", "0.25")
    assert said.code == 1
    codes = [each.get("problem", {}).get("code") for each in told(said)]
    assert codes == ["image_unreadable", "image_missing", None, "image_unreadable"]
    for name in ("letter.png", "none.png", "a.png"):
        assert f"{name}: " in said.err
    assert [path.name for path in out.iterdir()] == ["good.png"]


def test_without_a_pixel_size_nothing_is_guessed(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    said = membrana("segment", str(shared_data / FIELD), "-o", str(tmp_path / "masks"))
    assert said.code == 1
    assert told(said)[0]["problem"]["code"] == "mpp_missing"
    wrong = membrana("segment", str(shared_data / FIELD), "-o", str(tmp_path), "--mpp", "250")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.endswith("(mpp_implausible)\n")


def test_no_image_and_no_other_mask_is_written_over(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    with Image.open(shared_data / FIELD) as field:
        part = field.crop((0, 0, 256, 256))
    (tmp_path / "other").mkdir()
    for place in (tmp_path / "case.png", tmp_path / "other" / "case.tif"):
        part.save(place)
    before = (tmp_path / "case.png").read_bytes()
    said = membrana("segment", str(tmp_path / "case.png"), "-o", str(tmp_path), "--mpp", "0.25")
    assert said.code == 1
    assert told(said)[0]["problem"]["code"] == "would_overwrite"
    assert (tmp_path / "case.png").read_bytes() == before
    twice = membrana(
        *("segment", str(tmp_path / "case.png"), str(tmp_path / "other" / "case.tif")),
        *("-o", str(tmp_path / "masks"), "--mpp", "0.25"),
    )
    assert twice.code == 1
    assert [each.get("problem", {}).get("code") for each in told(twice)] == [None, "name_twice"]


def test_weights_that_are_none_are_refused_before_any_image(
    membrana: Membrana, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_text("no weights")
    for name, code in (
        ("none.safetensors", "model_missing"),
        ("model.safetensors", "weights_unreadable"),
    ):
        words = ("-o", str(tmp_path / "masks"), "--model", str(tmp_path / name))
        said = membrana("segment", str(shared_data / FIELD), *words)
        assert (said.code, said.out) == (1, "")
        assert said.err.rstrip().endswith(f"({code})"), said.err


@pytest.fixture
def lively(tmp_path: Path) -> Path:
    """Weights whose masks are not empty."""
    torch.manual_seed(0)
    config = NetworkConfig("unet-small")
    network = build(config)
    network.train()(torch.randn(2, 3, 64, 64))
    with torch.no_grad():
        network.get_submodule("head").bias.zero_()
    path = tmp_path / "lively.safetensors"
    save_ensemble(Ensemble(config, network, ()), path)
    return path


def test_eight_bits_are_calibrated_once_and_say_what_they_cost(
    membrana: Membrana, shared_data: Path, tmp_path: Path, lively: Path
) -> None:
    with Image.open(shared_data / FIELD) as field:
        pixels = np.array(field.convert("RGB"))
    for name, part in (("a", np.s_[:512, :512]), ("b", np.s_[512:800, 600:1000])):
        Image.fromarray(pixels[part]).save(tmp_path / f"{name}.png")
    a, b = (str(tmp_path / f"{name}.png") for name in "ab")
    kept = lively.with_name("lively.safetensors.ranges.json")

    def drawn(into: str, *options: str) -> tuple[Outcome, np.ndarray]:
        words = ("--mpp", "0.25", "--model", str(lively), "--precision", "int8", *options)
        said = membrana("segment", a, "-o", str(tmp_path / into), *words)
        return said, read(tmp_path / into / "a.png") if said.code == 0 else np.empty(0)

    refused, _ = drawn("none")
    assert (refused.code, refused.err.endswith("(ranges_missing)\n")) == (1, True)
    first, mask = drawn("first", "--calibration", b)
    assert first.code == 0, first.err
    assert "lively.safetensors in int8: masks agree with f32 to a Dice of 0." in first.err
    ranges = Calibration.from_document(
        json.dumps(json.loads(kept.read_text())["calibration"]).encode()
    )
    [document] = told(first)
    assert document["ranges_sha256"] == ranges.sha256
    assert f"int8 of ranges {ranges.sha256[:12]}" in document["predictor"]
    assert ranges.weights_sha256 == document["model_sha256"]
    narrow = load(lively, threads=1, precision="int8", calibration=ranges)
    expected = predict_region(narrow, pixels[:512, :512]).probability[0]
    np.testing.assert_array_equal(mask > 0, np.rint(expected * 255) >= 128)
    # frozen: neither this nor the same patches again take others
    before = kept.read_bytes()
    for options in ((), ("--calibration", b)):
        again, same = drawn("again", *options)
        assert again.code == 0, again.err
        np.testing.assert_array_equal(same, mask)
    other, _ = drawn("other", "--calibration", a)
    assert (other.code, other.err.endswith("(ranges_differ)\n")) == (1, True)
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--precision", "int8"), "wrong_option"),
        (("--precision", "int4"), "wrong_option"),
        (("--calibration", "."), "wrong_option"),
        (("--precision", "int8", "--model", "none.safetensors"), "model_missing"),
    ],
)
def test_wrong_words_about_eight_bits(
    membrana: Membrana, shared_data: Path, tmp_path: Path, options: tuple[str, ...], code: str
) -> None:
    said = membrana("segment", str(shared_data / FIELD), "-o", str(tmp_path / "masks"), *options)
    assert (said.code, said.out) == (2 if code == "wrong_option" else 1, "")
    assert said.err.endswith(f"({code})\n")


def test_ranges_of_other_weights_and_of_nothing_are_refused(
    membrana: Membrana, shared_data: Path, tmp_path: Path, lively: Path
) -> None:
    kept = lively.with_name("lively.safetensors.ranges.json")
    cost = {"patches": 1, "mask_dice": 1, "mask_iou": 1, "students_iou": 1, "quicker": 1}
    calibration = json.loads(Calibration("0" * 64, (), "", ()).document())
    strange = json.dumps({"calibration": calibration, "costs": {"int8": cost}})
    words = ("-o", str(tmp_path / "masks"), "--model", str(lively), "--precision", "int8")
    for document, code in (("{}", "ranges_unreadable"), (strange, "ranges_of_other_weights")):
        kept.write_text(document)
        said = membrana("segment", str(shared_data / FIELD), *words)
        assert (said.code, said.err.endswith(f"({code})\n")) == (1, True), said.err
