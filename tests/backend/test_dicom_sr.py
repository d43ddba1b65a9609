"""The structured report, read again: its codes, numbers, intervals and regions."""

import io
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.sr import CodedConcept, ComprehensiveSR

from backend.exchange.reports.dicom import Identity, serialized
from backend.exchange.reports.structured_report import answer, person_name, structured_report
from backend.her2.reports.content import Content
from backend.kit.product import RESEARCH_USE_ONLY
from tests.support.dicom_slide import MPP, source
from tests.support.reported import AT, REGIONS, REPORT_ID, SHA, SIDE, URN, content

IDENTITY = Identity(REPORT_ID, "test")


def written(whole: Content) -> bytes:
    made = structured_report(whole, REGIONS, source(SIDE, SIDE), IDENTITY)
    return serialized(made, IDENTITY, AT)


def read(whole: Content) -> ComprehensiveSR:
    return ComprehensiveSR.from_dataset(pydicom.dcmread(io.BytesIO(written(whole))))


def said(group: hd.sr.MeasurementsAndQualitativeEvaluations) -> list[tuple[str, CodedConcept]]:
    return [(each.name.value, each.value) for each in group.get_qualitative_evaluations()]


@pytest.mark.parametrize("signed", [False, True])
def test_the_score_and_what_it_rests_on(*, signed: bool) -> None:
    whole = content(signed=signed)
    assert written(whole) == written(whole)
    made = read(whole)
    assert made.PreliminaryFlag == ("FINAL" if signed else "PRELIMINARY")
    assert made.SeriesDescription == RESEARCH_USE_ONLY
    assert made.PatientID == "ANON-17"
    [group] = made.content.get_image_measurement_groups()
    evaluations = dict(said(group))
    assert evaluations["85319-2"].value == "LA11842-4"
    assert evaluations["intended-use"].meaning == RESEARCH_USE_ONLY
    assert evaluations["reason"].value == whole.document["reason"]
    assert ("signed-category" in evaluations) is signed
    assert ("ish" in evaluations) is signed
    if signed:
        assert evaluations["ish"].meaning == "negative, dual probe"
        assert evaluations["signed-category"].value == "LA11841-6"
    remarks = [value.value for name, value in said(group) if name == "remark"]
    assert remarks == [flag["code"] for flag in whole.document["flags"]]
    numbers = {each.name.value: each for each in group.get_measurements()}
    assert numbers["cells"].value == whole.document["cells"]
    for name, code in (("WP", "percent-WP"), ("intense_complete", "85328-3")):
        share, number = whole.document["percent"][name], numbers[code]
        assert number.value == pytest.approx(share["value"])
        assert number.unit.value == "%"
    assert len(numbers) == len(whole.document["percent"]) + 2
    file = written(whole)
    for part in (URN, whole.document_sha256, whole.document["protocol"]["sha256"]):
        assert part.encode() in file
    assert (b"Dr. A. Osei^" in file) is signed


def test_an_interval_is_what_a_number_may_be_more_or_less() -> None:
    whole = content()
    [group] = read(whole).content.get_image_measurement_groups()
    [number] = [each for each in group.get_measurements() if each.name.value == "percent-WP"]
    spread = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in number[0].ContentSequence
        if item.ValueType == "NUM"
    ]
    share = whole.document["percent"]["WP"]
    expected = [share["high"] - share["value"], share["value"] - share["low"]]
    assert sorted(spread) == pytest.approx(sorted(expected), abs=1e-4)
    units = [
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for item in number[0].ContentSequence
        if item.ValueType == "NUM"
    ]
    assert units == ["%", "%"]


def test_names_keep_their_letters_whatever_the_slides_are_written_in() -> None:
    """The patient's in the slide's own character set, people's in any."""
    given = source(SIDE, SIDE)
    given.SpecificCharacterSet = "ISO_IR 100"
    given.PatientName = "Müller^Zoë"
    file = io.BytesIO()
    given.save_as(file, enforce_file_format=True)
    file.seek(0)
    whole = content(signed=True)
    assert whole.signature is not None
    whole = replace(whole, signature=replace(whole.signature, name="伊藤"))
    regions = [replace(REGIONS[0], name="Östlich 漢")]
    made = structured_report(whole, regions, pydicom.dcmread(file), IDENTITY)
    back = pydicom.dcmread(io.BytesIO(serialized(made, IDENTITY, AT)))
    assert back.PatientName == "Müller^Zoë"
    names = [each.value for each in back.iterall() if each.keyword == "PersonName"]
    assert names == ["伊藤^"]
    [group] = ComprehensiveSR.from_dataset(back).content.get_planar_roi_measurement_groups()
    assert group.tracking_identifier == "Östlich 漢"


def test_regions_are_where_they_were_drawn() -> None:
    groups = read(content()).content.get_planar_roi_measurement_groups()
    assert [each.finding_type.value for each in groups] == ["108369006", "exclude"]
    for group, region in zip(groups, REGIONS, strict=True):
        np.testing.assert_array_equal(group.roi.value, region.polygons[0][0])
        [area] = group.get_measurements()
        assert area.value == pytest.approx(region.area * (MPP / 1000) ** 2)
        assert area.unit.value == "mm2"
        assert group.tracking_identifier == region.name


def test_names_and_answers_are_what_dicom_takes() -> None:
    assert person_name("Osei=A^B") == "Osei A B^"
    assert answer("0+").scheme_designator == "99MEMBRANA"
    assert [answer(each).value for each in ("0", "3+")] == ["LA6111-4", "LA11843-2"]
    assert len(SHA) == 64
