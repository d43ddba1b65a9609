"""The parts of measuring, each by itself, from densities to shared membranes."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.her2.connectivity import pieces
from models.her2.nuclei import NUCLEI_MPP, LogDetector, measure_nuclei
from models.her2.optical_density import STEP, Densities
from models.her2.pixels import ANALYSIS_MPP, Field, Regions
from models.her2.rays import MASK, RAYS, Planes, Profiles, ground_of, median, trace
from models.her2.sharing import close_gaps, contours, largest_gap, with_neighbours
from models.her2.territory import R_MAX_UM, fill_holes, territories
from models.her2.white_point import focus_of, measure_white
from models.stain import StainVectors, separate

WHITE = (238.0, 236.0, 242.0)
DENSITIES = Densities(WHITE, StainVectors((0.68, 0.66, 0.31), (0.28, 0.55, 0.79)))


def test_tables_give_what_the_matrix_gives():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    h, d, rest = separate(image, WHITE, DENSITIES.vectors)
    np.testing.assert_allclose(DENSITIES.haematoxylin(image), h, atol=1e-5)
    np.testing.assert_allclose(DENSITIES.dab(image), d, atol=1e-5)
    np.testing.assert_allclose(DENSITIES.residual(image), rest, atol=1e-5)
    coded = DENSITIES.coded_dab(image) * STEP
    np.testing.assert_allclose(coded, d.clip(0, 255 * STEP), atol=0.6 * STEP)


def test_the_white_point_is_the_glass_not_the_pale_tissue():
    g = np.random.default_rng(1)
    image = g.normal((222, 220, 228), 2, (300, 300, 3))
    image[:60, :60] = g.normal((241, 240, 243), 1.5, (60, 60, 3))
    white = measure_white(image.clip(0, 255).astype(np.uint8))
    assert white == pytest.approx((241, 240, 243), abs=2)


def test_without_glass_there_is_no_white_point():
    assert measure_white(np.full((200, 200, 3), (150, 120, 90), np.uint8)) is None


def test_a_blurred_block_has_less_focus_however_pale_it_is():
    import cv2

    g = np.random.default_rng(2)
    sharp = cv2.GaussianBlur(g.normal(180, 60, (128, 128, 3)), (0, 0), 1.0)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3.0)
    pale = 0.4 * sharp + 120
    values = [focus_of(each.clip(0, 255).astype(np.uint8)) for each in (sharp, pale, blurred)]
    assert values[2] < 0.3 * values[0]
    assert values[1] == pytest.approx(values[0], rel=0.15)
    assert np.isnan(focus_of(np.full((128, 128, 3), 200, np.uint8)))


def discs(centres, radius_um=4.0, side=200):
    """Blue discs on white at NUCLEI_MPP."""
    yy, xx = np.mgrid[:side, :side]
    image = np.full((side, side, 3), 238.0)
    for row, col in centres:
        image[np.hypot(yy - row, xx - col) * NUCLEI_MPP < radius_um] = (150, 140, 200)
    return image.astype(np.uint8)


def test_each_disc_is_one_nucleus_of_its_size_and_place():
    centres = [(40, 40), (40, 60), (120, 100), (160, 30)]
    image = discs(centres)
    densities = Densities((238.0,) * 3, StainVectors())
    labels = LogDetector(densities).labels(image, NUCLEI_MPP)
    nuclei = measure_nuclei(labels, densities.dab(image), NUCLEI_MPP)
    assert len(nuclei.number) == 4
    found = sorted(zip(nuclei.row.round(), nuclei.col.round(), strict=True))
    np.testing.assert_allclose(found, sorted(centres), atol=1.5)
    # the support of the blob reaches up to 1 µm beyond the edge: rays allow for it
    radius = np.sqrt(nuclei.area_um2 / np.pi)
    assert ((radius > 3.8) & (radius < 5.2)).all()
    assert (nuclei.elongation < 1.3).all()


def test_nuclei_are_the_same_wherever_the_tiles_corner_lies():
    """Where the corner lies decided on halves: of 20,000 cells of a phantom some six changed."""
    noise = np.random.default_rng(5).normal(0, 1, (900, 900)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 4)
    grey = 215 - 45 * np.clip(blobs / blobs.std(), 0, 2)
    image = np.stack([grey, grey, np.full_like(grey, 215)], axis=-1).astype(np.uint8)
    densities = Densities((238.0,) * 3, StainVectors())

    def found(top, left):
        view = np.ascontiguousarray(image[top:, left:])
        labels = LogDetector(densities).labels(view, NUCLEI_MPP)
        nuclei = measure_nuclei(labels, densities.dab(view), NUCLEI_MPP, (top, left))
        inside = (nuclei.row > 100) & (nuclei.col > 100)
        return np.stack([nuclei.row, nuclei.col, nuclei.area_um2, nuclei.elongation])[:, inside]

    whole = found(0, 0)
    assert whole.shape[1] > 1000
    for corner in ((1, 0), (0, 1), (1, 1)):
        np.testing.assert_array_equal(found(*corner), whole)


def test_moments_are_those_of_the_pixels():
    g = np.random.default_rng(3)
    labels = np.zeros((90, 120), np.int32)
    labels[10:14, 20:60] = 5
    labels[40:60, 70:80] = 2
    dab = g.uniform(0, 1, labels.shape).astype(np.float32)
    nuclei = measure_nuclei(labels, dab, 0.5, (1000, 30_000))
    assert nuclei.number.tolist() == [2, 5]
    np.testing.assert_allclose(nuclei.row, [1049.5, 1011.5])
    np.testing.assert_allclose(nuclei.col, [30_074.5, 30_039.5])
    np.testing.assert_allclose(nuclei.area_um2, [50, 40])
    np.testing.assert_allclose(nuclei.elongation, [2.0, 10.0], rtol=1e-6)
    np.testing.assert_allclose(nuclei.dab[1], dab[labels == 5].mean(), rtol=1e-6)


def test_ground_goes_to_the_nearest_nucleus_and_not_beyond_its_limit():
    labels = np.zeros((60, 120), np.int32)
    labels[28:32, 20:24], labels[28:32, 44:48] = 1, 2
    ground = territories(labels, NUCLEI_MPP)
    assert ground[30, 32] == 1
    assert ground[30, 35] == 2
    reach = np.flatnonzero(ground[30] == 2).max() - 47
    assert reach * NUCLEI_MPP == pytest.approx(R_MAX_UM, abs=1)
    assert not territories(np.zeros((20, 20), np.int32), NUCLEI_MPP).any()


def test_a_ring_without_a_nucleus_is_a_cell_and_one_with_is_not_added():
    yy, xx = np.mgrid[:120, :240]
    ring = [np.abs(np.hypot(yy - 60, xx - c) - 12) < 1.5 for c in (50, 150)]
    labels = np.zeros((120, 240), np.int32)
    labels[58:62, 48:52] = 3
    filled = fill_holes(labels, ring[0] | ring[1], NUCLEI_MPP)
    assert filled.added.tolist() == [4]
    rows, cols = np.nonzero(filled.labels == 4)
    assert (rows.mean(), cols.mean()) == pytest.approx((60, 150), abs=1)


def ringed(stained, dab_rgb=(140, 90, 40)):
    """One cell with a nucleus of 3 µm and a membrane at 6 µm where `stained(angle)`."""
    side = 160
    yy, xx = np.mgrid[:side, :side] - side // 2
    radius, angle = np.hypot(yy, xx) * ANALYSIS_MPP, np.arctan2(yy, xx) % (2 * np.pi)
    mask = (np.abs(radius - 6) < 0.6) & stained(angle)
    image = np.full((side, side, 3), 230, np.uint8)
    image[mask] = dab_rgb
    labels = (radius[::2, ::2] < 3).astype(np.int32)
    ground = ground_of(territories(labels, NUCLEI_MPP), labels)
    planes = Planes(ground, mask.astype(np.uint8) * np.uint8(MASK), image, DENSITIES)
    middle = np.array([side // 2])
    return trace(planes, middle, middle, np.array([1], np.int32), 0.05)


def test_a_whole_ring_is_hit_by_every_ray_where_it_stands():
    profiles = ringed(lambda angle: angle >= 0)
    assert profiles.hit.all()
    np.testing.assert_allclose(profiles.at * ANALYSIS_MPP, 5.4, atol=0.5)
    np.testing.assert_allclose(profiles.width * ANALYSIS_MPP, 1.2, atol=0.5)
    measured = contours(profiles, np.array([1], np.int32), 0.85)
    assert measured.completeness == pytest.approx(1)
    assert measured.gap_degrees == 0


@pytest.mark.parametrize("share", [0.15, 0.4, 0.75])
def test_completeness_is_the_stained_share(share):
    profiles = ringed(lambda angle: angle >= 2 * np.pi * share)
    measured = contours(profiles, np.array([1], np.int32), 0.85)
    assert measured.completeness == pytest.approx(1 - share, abs=0.07)
    assert measured.gap_degrees == pytest.approx(360 * share, abs=25)


def test_a_mask_over_what_is_not_brown_counts_for_nothing():
    assert not ringed(lambda angle: angle >= 0, dab_rgb=(228, 228, 229)).hit.any()


def lone(hit, peak, neighbour=None):
    n = len(hit)
    return Profiles(
        hit=hit,
        at=np.full((n, RAYS), 20, np.int16),
        nucleus=np.full((n, RAYS), 8, np.int16),
        width=np.full((n, RAYS), 5, np.int16),
        peak=peak,
        inside=np.zeros(n, np.uint8),
        neighbour=np.zeros((n, RAYS), np.int32) if neighbour is None else neighbour,
        reviewed=np.zeros((n, RAYS), np.bool_),
    )


def test_what_is_shared_with_a_complete_neighbour_is_not_held_against_a_cell():
    hit = np.zeros((2, RAYS), np.bool_)
    hit[0], hit[1, :10] = True, True
    neighbour = np.zeros((2, RAYS), np.int32)
    neighbour[1, :10], neighbour[0, 16:26] = 7, 9
    numbers = np.array([7, 9], np.int32)
    peak = np.full((2, RAYS), 120, np.uint8)
    found = contours(lone(hit, peak, neighbour), numbers, 0.85)
    np.testing.assert_allclose(found.completeness, [1, 10 / 32], rtol=1e-5)
    np.testing.assert_allclose(found.unshared, [1, 0], atol=1e-6)
    np.testing.assert_allclose(found.intensity, [0.6, 0])
    assert found.shared.tolist() == [False, True]


def test_a_cell_with_hardly_any_contour_of_its_own_keeps_its_c():
    hit = np.ones((2, RAYS), np.bool_)
    hit[1, :6] = False
    neighbour = np.zeros((2, RAYS), np.int32)
    neighbour[1, 2:] = 1
    peak = np.full((2, RAYS), 100, np.uint8)
    found = contours(lone(hit, peak, neighbour), np.array([1, 2], np.int32), 0.85)
    assert found.enclosed.tolist() == [False, True]
    assert found.unshared[1] == pytest.approx(26 / 32)


def test_cells_are_judged_by_neighbours_of_neighbours_and_nobody_else_is_traced():
    """A row of five cells: the last is stained all round, and each explains the one before."""
    hit = np.zeros((5, RAYS), np.bool_)
    for cell, rays in enumerate((8, 14, 20, 26, 32)):
        hit[cell, :rays] = True
    neighbour = np.zeros((5, RAYS), np.int32)
    for cell in range(4):
        neighbour[cell, :16] = cell + 2
    numbers = np.arange(1, 6, dtype=np.int32)
    every = lone(hit, np.full((5, RAYS), 100, np.uint8), neighbour)

    def traced(which):
        return Profiles(**{name: column[which] for name, column in vars(every).items()})

    which, profiles = with_neighbours(np.array([0]), numbers, traced)
    assert which.tolist() == [0, 1, 2]
    found, of_all = contours(profiles, numbers[which], 0.85, 1), contours(every, numbers, 0.85)
    for name, column in vars(found).items():
        np.testing.assert_array_equal(column, getattr(of_all, name)[:1], err_msg=name)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=RAYS, max_size=RAYS))
def test_gaps_are_closed_and_measured_round_the_cell(hits):
    hit = np.array([hits])
    closed = close_gaps(hit)[0]
    for ray in range(RAYS):
        between = hits[ray - 1] and hits[(ray + 1) % RAYS]
        assert closed[ray] == (hits[ray] or between)
    text = "".join("x" if each else "." for each in hits) * 2
    longest = min(RAYS, max(len(run) for run in text.split("x")))
    assert largest_gap(hit)[0] == pytest.approx(longest * 360 / RAYS)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=20))
def test_medians_leave_out_what_is_unknown(values):
    known = sorted(value for value in values if value < 255)
    expected = known[(len(known) - 1) // 2] if known else 255
    assert median(np.array([values], np.uint8))[0] == expected


def test_long_pieces_are_told_from_short_ones():
    membrane = np.zeros((512, 512), np.bool_)
    membrane[100:104, 20:220] = True  # 50 µm
    membrane[300:304, 20:60] = True  # 10 µm
    every, long = pieces(membrane)
    assert long / every == pytest.approx(200 / 240)
    assert pieces(np.zeros((512, 512), np.bool_)) == (0, 0)


def test_a_field_is_read_at_other_resolutions_and_white_beyond():
    image = np.zeros((100, 80, 3), np.uint8)
    field = Field(image, 0.5, np.ones((100, 80), np.bool_))
    box = field.read(-4, -4, 200, 240, ANALYSIS_MPP)
    assert (box[:4] == 255).all()
    assert (box[4:204, 4:164] == 0).all()
    membrane, reviewed = field.masks.read(0, 0, 170, 210)
    assert membrane[:200, :160].all()
    assert not membrane[200:].any()
    assert not reviewed.any()


def test_a_field_refuses_masks_of_another_size():
    with pytest.raises(ValueError, match="mask"):
        Field(np.zeros((10, 10, 3), np.uint8), 0.25, np.zeros((9, 10), np.bool_))


def test_regions_without_area_are_empty():
    import shapely

    assert Regions.of([]).empty
    assert Regions.of([shapely.box(0, 0, 5, 5)], [shapely.box(-1, -1, 9, 9)]).empty
