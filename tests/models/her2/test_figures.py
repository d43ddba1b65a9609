"""Figures of fields: what a disagreement says in words, and that nothing to draw is no failure."""

import numpy as np
import shapely
from PIL import Image

from models.her2.agreement_figures import on_logit, plot
from models.her2.cells import Cells
from models.her2.figures import caption, disagreement, scored_field
from models.her2.flags import Flag
from models.her2.slide_score import summarise
from tests.models.her2.mosaic import MPP, PROTOCOL, all_of, measured, mosaic


def document(cells, name="case.png", **more):
    flags = [Flag("mpp_missing")] if not len(cells) else []
    found = summarise(cells.tile_counts(PROTOCOL), PROTOCOL, flags=flags)
    return {"image": name, **found, **more}


def test_a_caption_says_both_categories_what_they_rest_on_and_research_use():
    cells = measured(mosaic(all_of("IC"), seed=4, side_px=512)).cells
    said = " ".join(caption(document(cells, membrane_percent_of_tissue=12.34), "2+").split())
    assert "case.png: given 2+, computed" in said
    assert "intense complete 100.0 %" in said
    assert "membrane 12.3 % of the tissue" in said
    assert "uncalibrated" in said
    assert "For Research Use Only" in said


def test_pictures_keep_their_size_whatever_cells_reach_over_their_edge(tmp_path):
    drawn = mosaic(all_of("MC"), seed=4, side_px=512)
    cells = measured(drawn).cells
    shown = document(cells, name="a $ and a $.png")
    disagreement(drawn.image, drawn.mask, cells, shown, "0", tmp_path / "one.png")
    path = tmp_path / "field.png"
    scored_field(drawn.image, drawn.mask, None, cells, shown, path)
    for name in ("one", "field"):
        with Image.open(tmp_path / f"{name}.png") as figure:
            pixels = np.asarray(figure.convert("RGB"), int)
        brown = (pixels[..., 0] - pixels[..., 2] > 60).mean()
        assert brown > 0.02, "the image is in it"


def test_a_scored_field_shows_its_mask_its_region_and_what_was_taken_for_tumour(tmp_path):
    drawn = mosaic(all_of("IC"), seed=4, side_px=512)
    cells = measured(drawn).cells
    said = document(cells)
    pictures = {}
    for name, mask, region in (
        ("bare", None, None),
        ("masked", drawn.mask, None),
        ("drawn", drawn.mask, shapely.box(50, 50, 400, 400)),
    ):
        path = tmp_path / f"{name}.png"
        scored_field(drawn.image, mask, region, cells, said, path)
        with Image.open(path) as figure:
            pictures[name] = np.asarray(figure.convert("RGB"), int)
    bare, masked, outlined = (pictures[name] for name in ("bare", "masked", "drawn"))
    blue = [(each[..., 2] - each[..., 0] > 100).mean() for each in (bare, masked)]
    assert blue[1] > blue[0] + 0.02, "the membrane is shaded in blue"
    black = [(each.max(axis=-1) < 40).sum() for each in (masked, outlined)]
    assert black[1] > black[0] + 1000, "and the region outlined"


def test_a_picture_without_cells_or_membrane_is_drawn_too(tmp_path):
    white = np.full((300, 500, 3), 255, np.uint8)
    nothing = Cells.empty(MPP)
    said = document(nothing)
    disagreement(white, None, nothing, said, "3+", tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 1000
    assert "no shares" in caption(said, "3+")


def test_percentages_are_drawn_and_on_the_logit_scale_ends_weigh_more(tmp_path):
    cells = [200, 200, 200]
    near, middle = (
        ([1.0, 2.0, 3.0], [2.0, 3.0, 4.5], cells),
        ([49.0, 50, 51], [50.0, 51, 52.5], cells),
    )
    assert on_logit(near)["bias"] > 3 * on_logit(middle)["bias"] > 0
    plot({"stained": near, "intense_complete": middle}, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as figure:
        assert figure.height > 800, "a row for each"
