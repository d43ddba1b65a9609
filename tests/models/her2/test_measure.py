"""From pixels to classes on mosaics with known cells; the same cells however the slide is cut."""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest
from shapely import LineString, Point, box, covers, is_valid, polygons, union_all

from models.her2.cells import EXTRA_SEED, OVERRIDDEN, column_names
from models.her2.classes import CLASSES
from models.her2.decision import decide
from models.her2.pixels import Field, Regions
from models.her2.quality import quality_flags
from models.her2.slide_score import summarise
from models.her2.tiles import measure
from tests.models.her2.mosaic import (
    MPP,
    PROTOCOL,
    SETTINGS,
    all_of,
    alone,
    inner,
    measured,
    mixed,
    mosaic,
)


@lru_cache
def half():
    """Half of the cells moderate complete, half of them negative: much to share."""
    return mosaic(mixed(0.5, "MC"), seed=3)


def shares(cells):
    return dict(zip(CLASSES, cells.counts / max(1, len(cells)), strict=True))


def same(a, b, *, least=100):
    assert len(a) == len(b) > least
    for name in column_names():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("name", ["N", "FC", "WC", "MC", "IC"])
def test_a_field_of_one_class_is_measured_as_that_class(name):
    cells = measured(mosaic(all_of(name))).cells
    assert len(cells) > 150
    assert shares(cells)[name] >= 0.98


@pytest.mark.parametrize("name", ["WP", "MP", "IP"])
def test_partial_membranes_have_their_intensity_and_are_rarely_complete(name):
    """Arcs of neighbours join up (her2.md §3.7), so the class is not as sure as complete ones."""
    found = shares(measured(mosaic(mixed(0.4, name))).cells)
    right = found[name]
    assert right > 0.2
    assert found[f"{name[0]}C"] < 0.2 * right


def test_every_nucleus_is_found_once_and_in_its_place():
    drawn = mosaic(all_of("N"))
    cells = measured(drawn).cells
    inside = (drawn.x > 64) & (drawn.x < 704) & (drawn.y > 64) & (drawn.y < 704)
    away = np.hypot(drawn.x[inside, None] + 0.5 - cells.x, drawn.y[inside, None] + 0.5 - cells.y)
    assert len(cells) == pytest.approx(inside.sum(), abs=3)
    assert np.median(away.min(axis=1)) * MPP < 0.5


@pytest.mark.parametrize(
    ("share", "score", "reason"),
    [(0.06, "2+", "intense_complete_le10"), (0.15, "3+", "intense_complete_gt10")],
)
def test_strong_cells_among_negative_ones_lend_them_no_membrane(share, score, reason):
    labels = alone(share, "IC") if share < 0.1 else mixed(share, "IC")
    cells = measured(mosaic(labels, side_px=1024)).cells
    verdict = decide(cells.counts, PROTOCOL)
    assert shares(cells)["MP"] + shares(cells)["IP"] <= 0.01
    assert (verdict.score, verdict.reason) == (score, reason)


def test_a_negative_cell_keeps_its_c_and_loses_what_is_shared():
    cells = measured(half()).cells
    lent = cells.completeness - cells.unshared
    assert (lent > 0.2).sum() > 20
    assert shares(cells)["MC"] == pytest.approx(0.5, abs=0.12)


def test_gaps_in_the_ring_lower_completeness():
    whole, gap15, gap40 = (
        measured(mosaic(alone(0.08, "MP"), seed=1, arc=arc)).cells for arc in (1.0, 0.85, 0.6)
    )
    stained = [cells.take(cells.unshared > 0.3) for cells in (whole, gap15, gap40)]
    medians = [float(np.median(cells.unshared)) for cells in stained]
    assert medians[0] > 0.97
    assert medians[1] == pytest.approx(0.85, abs=0.07)
    assert medians[2] == pytest.approx(0.60, abs=0.08)
    gaps = [float(np.median(cells.gap_degrees)) for cells in stained]
    assert gaps[0] < 12 < gaps[1] < 80 < gaps[2]


def test_brown_cells_without_a_membrane_are_negative_though_the_mask_fills_them():
    drawn = mosaic(all_of("N"), brown=0.4)
    field = Field(drawn.image, MPP, np.ones(drawn.mask.shape, np.bool_))
    cells = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1).cells
    assert len(cells) > 100
    assert shares(cells)["N"] == 1.0


@pytest.mark.parametrize("filled", [True, False])
def test_brown_cytoplasm_that_may_hide_membranes_is_asked_about(filled):
    drawn = mosaic(all_of("N"), brown=0.4)
    field = Field(drawn.image, MPP, np.full(drawn.mask.shape, filled))
    cells = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1).cells
    flags = {flag["code"] for flag in summarise(cells.tile_counts(PROTOCOL), PROTOCOL)["flags"]}
    assert "cytoplasm_obscures" in flags
    plain = measured(mosaic(all_of("N"))).cells.tile_counts(PROTOCOL)
    assert "cytoplasm_obscures" not in {
        flag["code"] for flag in summarise(plain, PROTOCOL)["flags"]
    }


def test_an_empty_mask_is_score_0_whatever_the_picture_shows():
    drawn = mosaic(all_of("IC"))
    field = Field(drawn.image, MPP)
    cells = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1).cells
    assert decide(cells.counts, PROTOCOL).score == "0"


@pytest.mark.parametrize("tile_px", [200, 384, 4096])
def test_tiles_of_any_size_give_identical_cells(tile_px):
    same(measured(half(), tile_px=1024).cells, measured(half(), tile_px=tile_px).cells)


OUTLINES = {
    "slanted": LineString([(110, 650), (400, 300), (650, 110)]).buffer(40),
    "bent": union_all([box(70, 70, 110.3, 700), box(70, 650.7, 700, 700)]),
    "apart": union_all([box(70, 70, 200, 230), Point(560, 520).buffer(120)]),
    "ring": Point(384, 384).buffer(300).difference(Point(384, 384).buffer(240)),
}


@pytest.mark.parametrize("tile_px", [150, 1024])
@pytest.mark.parametrize("outline", OUTLINES)
def test_a_region_of_any_outline_has_the_cells_of_the_whole_that_lie_in_it(outline, tile_px):
    """Its tiles are fitted to it: none is left out, none is measured twice."""
    region, whole = Regions.of([OUTLINES[outline]]), measured(half()).cells
    same(
        measured(half(), regions=region, tile_px=tile_px).cells,
        whole.take(region.holds(whole.x, whole.y)),
        least=20,
    )


def test_threads_give_identical_cells():
    same(measured(half(), workers=1).cells, measured(half(), workers=3, tile_px=256).cells)


def test_what_a_local_edit_touches_is_all_that_is_measured_again():
    drawn = half()
    field = Field(drawn.image, MPP, drawn.mask)
    before = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1)
    mask = drawn.mask.copy()
    mask[300:364, 300:364] = False  # a person erases
    edited = Field(drawn.image, MPP, mask)
    scratch = measure(edited, edited.masks, regions=inner(field), settings=SETTINGS, workers=1)
    part = measure(
        edited,
        edited.masks,
        regions=inner(field),
        settings=SETTINGS,
        workers=1,
        within=[(300, 300, 364, 364)],
        known=before.survey,
    )
    assert 0 < len(part.cells) < len(scratch.cells)
    same(part.put_into(before.cells), scratch.cells)
    assert (before.cells.label != scratch.cells.label).any()


def test_edits_in_two_places_are_measured_again_in_both():
    drawn = mosaic(mixed(0.5, "MC"), side_px=1280, seed=5)
    field = Field(drawn.image, MPP, drawn.mask)
    before = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1)
    mask = drawn.mask.copy()
    boxes = [(150, 150, 182, 190), (1100, 1140, 1130, 1172)]
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] ^= True
    edited = Field(drawn.image, MPP, mask)
    options = {"regions": inner(field), "settings": SETTINGS, "workers": 1}
    scratch = measure(edited, edited.masks, **options)
    part = measure(edited, edited.masks, **options, within=boxes, known=before.survey)
    assert len(part.boxes) == 2
    same(part.put_into(before.cells), scratch.cells)


def test_two_disjoint_regions_add_up_to_their_union():
    field = Field(half().image, MPP, half().mask)
    left, right = box(64, 64, 400, 704), box(400, 64, 704, 704)
    counts = [
        measured(half(), regions=Regions.of(parts)).cells.counts
        for parts in ([left], [right], [left, right])
    ]
    np.testing.assert_array_equal(counts[0] + counts[1], counts[2])
    assert field.width == 768


def test_what_is_excluded_holds_no_cells():
    regions = Regions.of([box(64, 64, 704, 704)], [box(200, 200, 500, 500)])
    cells = measured(half(), regions=regions).cells
    inside = (cells.x > 200) & (cells.x < 500) & (cells.y > 200) & (cells.y < 500)
    assert len(cells) > 50
    assert not inside.any()


def test_turned_pictures_give_the_same_shares():
    drawn = half()
    straight = measured(drawn).cells
    for turn in (
        lambda a: np.ascontiguousarray(np.rot90(a)),
        lambda a: np.ascontiguousarray(a[:, ::-1]),
    ):
        field = Field(turn(drawn.image), MPP, turn(drawn.mask))
        cells = measure(
            field, field.masks, regions=inner(field), settings=SETTINGS, workers=1
        ).cells
        assert shares(cells)["MC"] == pytest.approx(shares(straight)["MC"], abs=0.04)


def test_cells_cut_beside_their_nucleus_are_found_by_their_membrane():
    drawn = mosaic(all_of("IC"), nuclei=0.7)
    cells = measured(drawn).cells
    assert ((cells.flags & EXTRA_SEED) > 0).mean() > 0.15
    assert shares(cells)["IC"] > 0.95


def test_reviewed_contour_is_told_apart():
    drawn = half()
    reviewed = np.zeros(drawn.mask.shape, np.bool_)
    reviewed[:, :384] = True
    field = Field(drawn.image, MPP, drawn.mask, reviewed)
    cells = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1).cells
    left, right = cells.x < 340, cells.x > 430
    np.testing.assert_allclose(cells.reviewed_um[left], cells.contour_um[left], rtol=1e-5)
    assert not cells.reviewed_um[right].any()
    negative = cells.take(left & (cells.label == 0))
    assert len(negative) > 20
    assert (negative.reviewed_um > 1.5 * negative.stained_um).mean() > 0.5
    share = 1 - summarise(cells.tile_counts(PROTOCOL), PROTOCOL)["reviewed_share"]
    assert share == pytest.approx(0.5, abs=0.1)


def test_cells_that_a_person_set_rest_on_no_proposal():
    cells = measured(half()).cells
    nothing = summarise(cells.tile_counts(PROTOCOL), PROTOCOL)["reviewed_share"]
    flags = np.where(np.arange(len(cells)) % 2, OVERRIDDEN, cells.flags).astype(np.uint16)
    set_by_hand = replace(cells, flags=flags).tile_counts(PROTOCOL)
    assert nothing == 0.0
    assert summarise(set_by_hand, PROTOCOL)["reviewed_share"] == pytest.approx(0.5, abs=0.1)


def test_bare_glass_has_no_cells_and_is_not_assessable():
    glass = np.random.default_rng(0).normal(240, 1.5, (700, 700, 3)).clip(0, 255)
    field = Field(glass.astype(np.uint8), MPP)
    cells = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1).cells
    assert len(cells) == 0
    verdict = decide(cells.counts, PROTOCOL)
    assert (verdict.score, verdict.reason) == ("not assessable", "too_few_cells")


def test_without_a_region_nothing_is_measured():
    field = Field(half().image, MPP, half().mask)
    found = measure(field, field.masks, regions=Regions.of([]), settings=SETTINGS, workers=1)
    assert len(found.cells) == 0
    assert "no_tumour_region" in {flag.code for flag in quality_flags(found, Regions.of([]))}


def test_cells_out_of_focus_are_left_out_and_counted():
    drawn = mosaic(mixed(0.5, "MC"), side_px=1024, seed=6)
    image = drawn.image.copy()
    image[:512, 512:] = cv2.GaussianBlur(image[:512, 512:], (0, 0), 6)
    field = Field(image, MPP, drawn.mask)
    found = measure(field, field.masks, regions=inner(field), settings=SETTINGS, workers=1)
    blurred = (found.cells.x > 540) & (found.cells.y < 480)
    assert len(found.blurred) > 30
    assert blurred.sum() < 5
    assert len(found.cells) > 200


def flags_in(image, mask):
    field = Field(image, MPP, mask)
    regions = inner(field)
    found = measure(field, field.masks, regions=regions, settings=SETTINGS, workers=1)
    return found, {flag.code: flag.detail for flag in quality_flags(found, regions)}


def test_an_area_so_blurred_that_it_has_no_nuclei_is_said_to_be_out_of_focus():
    drawn = mosaic(mixed(0.5, "MC"), side_px=1280, seed=6)
    image = drawn.image.copy()
    image[:, 800:] = cv2.GaussianBlur(image[:, 800:], (0, 0), 40)
    found, flags = flags_in(image, drawn.mask & (np.arange(1280) < 800))
    assert not (found.cells.x > 900).any()
    assert len(found.blurred) < 0.2 * len(found.cells), "cells alone would not have told"
    assert "% of the tumour is out of focus" in flags["out_of_focus"]
    _, sharp = flags_in(drawn.image, drawn.mask)
    assert "out_of_focus" not in sharp


def test_a_colour_that_neither_stain_explains_is_flagged():
    drawn = mosaic(mixed(0.5, "MC"), seed=6)
    _, plain = flags_in(drawn.image, drawn.mask)
    assert "stain_residual" not in plain
    green = (drawn.image * np.array([0.75, 1.0, 0.75])).astype(np.uint8)
    green[:, :32] = drawn.image[:, :32]
    _, inked = flags_in(green, drawn.mask)
    assert "neither haematoxylin nor DAB" in inked["stain_residual"]


def test_regions_that_reach_the_slides_edge_end_before_the_cells_that_are_cut():
    drawn = half()
    field = Field(drawn.image, MPP, drawn.mask)
    beyond = Regions.of([box(-50, -50, 800, 800)], slide=field)
    same(measured(drawn, regions=beyond).cells, measured(drawn, regions=Regions.whole(field)).cells)
    cut = measured(drawn, regions=Regions.of([box(-50, -50, 800, 800)])).cells
    assert len(cut) > len(measured(drawn, regions=beyond).cells)


def test_every_outline_is_a_polygon_on_the_slide():
    """Cells at the edge end there, and a nucleus bent round its centroid is no lone point."""
    drawn = half()
    field = Field(drawn.image, MPP, drawn.mask)

    def bent(view):
        """Nuclei like sickles, 24 px apart on the slide's own grid."""
        labels = np.zeros(view.image.shape[:2], np.int32)
        top, left = -view.top % 24, -view.left % 24
        for number, (row, column) in enumerate(np.ndindex(40, 40), 1):
            middle = (left + 24 * column, top + 24 * row)
            cv2.ellipse(labels, middle, (7, 7), 0, 50, 310, number, 3)
        return labels

    everywhere = Regions.of([box(-50, -50, 800, 800)])
    for detector in (bent, None):
        cells = measure(
            field, field.masks, regions=everywhere, settings=SETTINGS, detector=detector, workers=1
        ).cells
        assert len(cells) > 100
        for corners in (cells.nucleus, cells.membrane):
            drawn_polygons = polygons(corners.astype(np.float64).round(1))
            assert is_valid(drawn_polygons).all()
            assert covers(box(0, 0, 768, 768), drawn_polygons).all()
            assert (corners != np.roll(corners, 1, axis=1)).any(axis=-1).all()
