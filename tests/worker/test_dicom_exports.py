"""DICOM objects of a report, read again by highdicom: every cell, every pixel, in its place."""

import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
import shapely
from highdicom.ann import MicroscopyBulkSimpleAnnotations
from highdicom.spatial import map_pixel_into_coordinate_system
from pydicom.dataset import Dataset

from backend.exchange.reports.dicom import (
    LOCAL,
    DicomIncomplete,
    Identity,
    completed,
    serialized,
    source_of,
)
from backend.kit.product import RESEARCH_USE_ONLY
from models.her2.cells import Cells
from models.her2.classes import CLASSES
from models.her2.pixels import Field
from models.phantom import PhantomSpec, field
from tests.support.dicom_slide import MPP, ORIGIN_MM, dicom_file, headers, source
from tests.support.reported import AT, REGIONS, REPORT_ID, SIDE, URN, included, measured
from worker.exporters import cells_dicom, masks_dicom
from worker.her2.slide import regions_of

IDENTITY = Identity(REPORT_ID, "test")


def written_annotations(cells: Cells) -> bytes:
    made = cells_dicom.annotations(cells, included(cells), source(SIDE, SIDE), IDENTITY)
    return serialized(made, IDENTITY, AT)


def written_segmentation(slide: Field) -> bytes:
    regions = regions_of(REGIONS, slide)
    made = masks_dicom.segmentation(
        slide,
        slide.masks,
        regions,
        source(slide.width, slide.height),
        IDENTITY,
        model="cold-start",
        weights_sha256="ab" * 32,
    )
    return serialized(made, IDENTITY, AT)


@pytest.fixture(scope="module")
def slide() -> Field:
    drawn = field(PhantomSpec(seed=7, her2="2+"), (900, 700))
    return Field(drawn.image, MPP, drawn.mask > 0)


def told_of_the_source(made: Dataset) -> None:
    given = headers(1, 1)
    assert made.PatientID == given.PatientID
    assert str(made.PatientName) == given.PatientName
    assert made.StudyInstanceUID == given.StudyInstanceUID
    assert made.ContainerIdentifier == given.ContainerIdentifier
    assert made.SeriesInstanceUID != given.SeriesInstanceUID
    assert made.SeriesDescription == RESEARCH_USE_ONLY
    assert made.PerformedProcedureStepDescription == URN
    assert made.ContentDate == f"{AT:%Y%m%d}"
    [series] = made.ReferencedSeriesSequence
    [instance] = series.ReferencedInstanceSequence
    assert instance.ReferencedSOPInstanceUID == given.SOPInstanceUID


def test_annotations_hold_every_cell_that_counts() -> None:
    cells = measured()[0]
    file = written_annotations(cells)
    assert file == written_annotations(cells)
    read = MicroscopyBulkSimpleAnnotations.from_dataset(pydicom.dcmread(io.BytesIO(file)))
    told_of_the_source(read)
    assert read.annotation_coordinate_type == hd.ann.AnnotationCoordinateTypeValues.SCOORD
    assert read.PixelOriginInterpretation == "VOLUME"
    groups = {each.label.split()[0]: each for each in read.get_annotation_groups()}
    counted = included(cells)
    assert set(groups) == {CLASSES[label] for label in cells.label[counted]}
    for name, group in groups.items():
        which = np.flatnonzero(counted & (cells.label == CLASSES.index(name)))
        assert group.number_of_annotations == len(which)
        assert group.annotated_property_type.value == "4421005"
        assert group.AnnotationGroupDescription == RESEARCH_USE_ONLY
        drawn = group.get_graphic_data(coordinate_type="2D")
        np.testing.assert_array_equal(np.stack(drawn)[..., :2], cells.membrane[which])
        names, values, units = group.get_measurements()
        assert [each.value for each in names] == list(cells_dicom.MEASURES)
        assert {each.value for each in units} == {"1"}
        for place, column in enumerate(cells_dicom.MEASURES):
            np.testing.assert_array_equal(
                values[:, place], getattr(cells, column)[which].astype(np.float32)
            )


def test_very_many_cells_are_points(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = measured()[0]
    monkeypatch.setattr(cells_dicom, "MOST_POLYGONS", len(cells) // 2)
    read = MicroscopyBulkSimpleAnnotations.from_dataset(
        pydicom.dcmread(io.BytesIO(written_annotations(cells)))
    )
    groups = read.get_annotation_groups()
    points = np.concatenate([each.get_graphic_data(coordinate_type="2D") for each in groups])
    points = points.reshape(len(points), -1)[:, :2]
    counted = cells.take(included(cells))
    order = np.argsort(counted.label, kind="stable")
    expected = np.stack([counted.x, counted.y], axis=1)[order]
    np.testing.assert_allclose(points, expected, atol=1e-3)


def test_no_cell_makes_no_object() -> None:
    none = Cells.empty(MPP)
    every = np.zeros(0, np.bool_)
    assert cells_dicom.annotations(none, every, source(SIDE, SIDE), IDENTITY) is None


def test_the_segmentation_is_the_mask_of_the_scored_area(slide: Field) -> None:
    file = written_segmentation(slide)
    assert file == written_segmentation(slide)
    read = hd.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(file)))
    told_of_the_source(read)
    assert read.segmentation_type == hd.seg.SegmentationTypeValues.BINARY
    assert read.DimensionOrganizationType == "TILED_SPARSE"
    [segment] = read.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == LOCAL
    assert (read.TotalPixelMatrixColumns, read.TotalPixelMatrixRows) == (900, 700)
    found = read.get_total_pixel_matrix(combine_segments=True)
    membrane, _ = slide.masks.read(0, 0, 900, 700)
    y, x = np.mgrid[:700, :900] + 0.5
    inside = regions_of(REGIONS, slide).holds(x.ravel(), y.ravel()).reshape(700, 900)
    assert not (membrane & inside)[:199, :199].any()
    np.testing.assert_array_equal(found, membrane & inside)
    assert found.any()
    # as a bit a pixel: the headers of twelve tiles weigh the same again
    assert len(file) < 2 * read.NumberOfFrames * 256 * 256 / 8 + 20_000


@pytest.mark.parametrize("mpp", [0.25, 0.125, 0.5])
def test_a_tile_lies_on_the_glass_where_the_slide_has_it(mpp: float) -> None:
    """A pixel of the mask has its centre in the middle of the slide's pixels that it covers."""
    given = source(4000, 3000)
    given.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [
        mpp / 1000,
        mpp / 1000,
    ]
    step = 0.25 / mpp
    grid = masks_dicom.Grid(given, step)
    for column, row in ((0, 0), (256, 512)):
        centre0 = (column + 0.5) * step - 0.5, (row + 0.5) * step - 0.5
        fine = np.array([mpp / 1000, mpp / 1000])
        # columns run down the glass, rows to the left (ImageOrientationSlide of the fixture)
        expected = ORIGIN_MM[0] - centre0[1] * fine[0], ORIGIN_MM[1] - centre0[0] * fine[1], 0
        np.testing.assert_allclose(grid.place(column, row), expected, atol=1e-9)
        [position] = grid.position(column, row)
        assert position.ColumnPositionInTotalImagePixelMatrix == column + 1
        assert position.RowPositionInTotalImagePixelMatrix == row + 1
    if step == 1:
        # at the slide's own resolution: what highdicom itself says of the source
        place = map_pixel_into_coordinate_system(
            index=(256, 512),
            image_position=(*ORIGIN_MM, 0.0),
            image_orientation=given.ImageOrientationSlide,
            pixel_spacing=[mpp / 1000, mpp / 1000],
        )
        np.testing.assert_allclose(grid.place(256, 512), place, atol=1e-9)


def test_an_area_that_is_too_large_or_bare_makes_no_segmentation(
    slide: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"model": "m", "weights_sha256": "ab" * 32}
    given = source(slide.width, slide.height)
    bare = Field(slide.image, MPP)
    regions = regions_of(REGIONS, slide)
    none = masks_dicom.segmentation(bare, bare.masks, regions, given, IDENTITY, **said)
    assert none is None
    nowhere = regions_of([], slide)
    assert shapely.is_empty(nowhere.tumour)
    assert list(masks_dicom.tiles_of(slide, slide.masks, nowhere)) == []
    monkeypatch.setattr(masks_dicom, "MOST_TILES", 3)
    large = masks_dicom.segmentation(slide, slide.masks, regions, given, IDENTITY, **said)
    assert large is None


def test_uids_follow_from_what_went_in() -> None:
    assert IDENTITY.ids == Identity(REPORT_ID, "test").ids
    uids = {
        identity.uid(name)
        for identity in (IDENTITY, Identity(REPORT_ID, "other"))
        for name in ("series", "instance")
    }
    assert len(uids) == 4
    assert all(hd.UID(each).is_valid for each in uids)


def test_the_source_is_the_image_of_the_tissue_and_nothing_else(tmp_path) -> None:
    path = dicom_file(512, 512)
    (tmp_path / "a.dcm").write_bytes(path.read_bytes())
    (tmp_path / "readme.txt").write_text("not DICOM")
    label = pydicom.dcmread(path)
    label.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    label.PatientName = "Written^On the label"
    label.save_as(tmp_path / "0-label.dcm")
    found = source_of(tmp_path, width=512, height=512)
    assert str(found.PatientName) == "Anonymous^17"
    assert "PixelData" not in found
    with pytest.raises(DicomIncomplete, match="600 × 512"):
        source_of(tmp_path, width=600, height=512)


def test_headers_of_a_bare_file_are_completed_or_refused() -> None:
    bare = headers(512, 512)
    for name in ("PatientName", "StudyDate", "TotalPixelMatrixOriginSequence"):
        delattr(bare, name)
    found = completed(bare)
    assert not found.PatientName
    assert found.TotalPixelMatrixOriginSequence[0].XOffsetInSlideCoordinateSystem == 0
    del bare.FrameOfReferenceUID
    with pytest.raises(DicomIncomplete, match="FrameOfReferenceUID"):
        completed(bare)
