"""Tissue detection and quality flags, on phantoms and on the real slides."""

import cv2
import numpy as np
import openslide
import pytest
from PIL import Image

from models.phantom import PhantomSpec, field
from models.phantom.render import pixels
from models.tissue import FLAGS, quality, tissue_mask

NO_PATCHES = np.zeros((0, 256, 256, 3), np.uint8)


def overview_of(spec, step=8):
    """Draw a whole phantom at low power (box-filtered)."""
    image = pixels(spec, 0, 0, spec.width, spec.height)[0]
    size = (spec.width // step, spec.height // step)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)), spec.mpp * step


def sample(path, *, count=12):
    """Overview, mpp and patches of a slide file, as ingest takes them; mpp 0.25 if unknown."""
    with openslide.OpenSlide(path) as slide:
        width, height = slide.dimensions
        step = max(1.0, max(width, height) / 700)
        thumbnail = slide.get_thumbnail((round(width / step), round(height / step)))
        overview = np.array(thumbnail.convert("RGB"))
        mpp = float(slide.properties.get("openslide.mpp-x", 0.25)) * step
        mask = tissue_mask(overview, mpp)
        rows, cols = np.nonzero(mask)
        chosen = np.random.default_rng(0).permutation(len(rows))[:count]
        patches = [
            np.array(
                slide.read_region(
                    (
                        int(min(max(0, cols[i] * step - 128), width - 256)),
                        int(min(max(0, rows[i] * step - 128), height - 256)),
                    ),
                    0,
                    (256, 256),
                ).convert("RGB")
            )
            for i in chosen
        ]
    return overview, mask, np.array(patches, np.uint8).reshape(-1, 256, 256, 3)


@pytest.fixture(scope="module")
def phantom():
    return overview_of(PhantomSpec(width=1536, height=1280, mpp=0.5, seed=1, her2="2+"))


def test_phantom_tissue_is_found_and_glass_is_not(phantom):
    overview, mpp = phantom
    mask = tissue_mask(overview, mpp)
    assert mask.shape == overview.shape[:2]
    assert mask.dtype == np.bool_
    assert 0.2 < mask.mean() < 0.7
    border = np.concatenate([mask[:4].ravel(), mask[-4:].ravel()])
    assert border.mean() < 0.02
    stained = cv2.blur(overview.min(axis=-1), (5, 5)) < 170
    assert mask[stained].mean() > 0.95


def test_a_negative_slide_is_found_too():
    overview, mpp = overview_of(PhantomSpec(width=1280, height=1024, mpp=0.5, seed=9, her2="0"))
    assert tissue_mask(overview, mpp).mean() > 0.2


def test_blank_slides_have_no_tissue_even_with_noise_and_shading():
    noise = np.random.default_rng(0).normal(0, 2, (300, 400, 3))
    shading = np.linspace(-4, 4, 400)[None, :, None]
    overview = np.clip(238 + noise + shading, 0, 255).astype(np.uint8)
    mask = tissue_mask(overview, 8.0)
    assert mask.mean() < 0.001
    assert quality(overview, mask, NO_PATCHES).flags == ("no_tissue",)


def test_pen_is_not_tissue(phantom):
    overview, mpp = phantom
    marked = overview.copy()
    cv2.line(marked, (0, 8), (marked.shape[1] - 1, 14), (30, 60, 190), 7)
    cv2.line(marked, (5, 5), (5, marked.shape[0] - 5), (20, 20, 25), 5)
    cv2.line(marked, (245, 5), (245, marked.shape[0] - 5), (20, 130, 60), 5)
    before, after = tissue_mask(overview, mpp), tissue_mask(marked, mpp)
    assert (after & ~before).mean() < 0.005
    assert (after & before).sum() > 0.85 * before.sum()


def test_black_padding_and_a_coverslip_edge_are_not_tissue(phantom):
    overview, mpp = phantom
    framed = cv2.copyMakeBorder(overview, 0, 0, 80, 60, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    framed = np.asarray(framed)
    cv2.line(framed, (86, 0), (90, framed.shape[0] - 1), (190, 190, 195), 1)
    inside = tissue_mask(framed, mpp)
    assert not inside[:, :80].any()
    assert not inside[:, -60:].any()
    whole = tissue_mask(overview, mpp)
    assert (inside[:, 80:-60] != whole).mean() < 0.01


def test_a_healthy_phantom_raises_no_flag():
    for her2 in ("0", "2+", "3+"):
        drawn = field(PhantomSpec(her2=her2, seed=8), 768).image
        overview = np.asarray(cv2.resize(drawn, (192, 192), interpolation=cv2.INTER_AREA))
        patches = np.stack([drawn[:256, :256], drawn[256:512, 256:512], drawn[512:768, :256]])
        assert quality(overview, tissue_mask(overview, 1.0), patches).flags == (), her2


@pytest.mark.parametrize("name", ["tma_0_nompp.svs", "tma_1plus_generic_mpp.tif", "tma_3plus.svs"])
def test_real_her2_slides_are_found_and_raise_no_flag(shared_data, name):
    overview, mask, patches = sample(shared_data / "wsi_her2" / name)
    assert 0.4 < mask.mean() < 0.7  # a round core fills about half of its square
    assert not mask[:10, :10].any()
    assert quality(overview, mask, patches).flags == ()


def test_real_slide_out_of_focus_is_blur(shared_data):
    overview, mask, patches = sample(shared_data / "wsi_her2" / "tma_3plus.svs")
    soft = np.stack([cv2.GaussianBlur(patch, (0, 0), 4) for patch in patches])
    assert quality(overview, mask, soft).flags == ("blur",)


def test_a_grey_slide_is_the_wrong_stain():
    overview, mpp = overview_of(PhantomSpec(seed=3, width=4096, height=4096, her2="2+"))
    mask = tissue_mask(overview, mpp)
    assert "wrong_stain" not in quality(overview, mask, NO_PATCHES).flags
    shades = cv2.cvtColor(cv2.cvtColor(overview, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert "wrong_stain" in quality(shades, mask, NO_PATCHES).flags


def test_haematoxylin_eosin_is_the_wrong_stain(shared_data):
    found = quality(*sample(shared_data / "wsi_vendor" / "CMU-1-Small-Region.svs"))
    assert found.flags == ("wrong_stain",)
    assert found.measures["pink_share"] > 0.5


def test_fluorescence_is_seen(shared_data):
    overview, mask, patches = sample(shared_data / "wsi_vendor" / "stritt_dapi.ndpi")
    assert not mask.any()
    assert quality(overview, mask, patches).flags == ("fluorescence",)


def test_false_colours_are_a_cast(shared_data):
    path = shared_data / "wsi_vendor" / "dicom_cmu1" / "level-0-frames-0-30.dcm"
    assert "colour_cast" in quality(*sample(path)).flags


def test_real_camera_fields_raise_no_flag(shared_data):
    fields = sorted((shared_data / "her2_fields").glob("*.*"))
    assert len(fields) > 5
    for path in fields:
        image = np.asarray(Image.open(path).convert("RGB"))
        overview = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        overview = np.asarray(overview)
        patches = np.stack([image[:256, :256], image[200:456, 200:456]])
        found = quality(overview, tissue_mask(overview, 0.5), patches)
        assert found.flags == (), path.name


def test_flags_are_stable_words_in_order():
    assert FLAGS == ("no_tissue", "blur", "fluorescence", "wrong_stain", "colour_cast")


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        tissue_mask(np.zeros((4, 4), np.uint8), 8.0)
    with pytest.raises(ValueError, match="mpp"):
        tissue_mask(np.zeros((4, 4, 3), np.uint8), 0.0)
