"""The report as a DICOM Structured Report, TID 1500: the score, its numbers, the regions.

Codes are those of the FHIR export; what has no code in a standard scheme has a local one. A
region's coordinates are px of the source's total pixel matrix: our level-0 px.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    ImageRegion,
    Measurement,
    MeasurementProperties,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from backend.exchange.reports import words
from backend.exchange.reports.categories import ANSWERS, coded_score
from backend.exchange.reports.dicom import MAKER, Identity, local
from backend.exchange.reports.fhir_resources import BREAST
from backend.her2.classes import CLASS_NAMES
from backend.her2.regions.geojson import Region, twice_area
from backend.her2.regions.tables import RegionKind
from backend.her2.reports.content import Content
from backend.kit.product import PRODUCT, RESEARCH_USE_ONLY

NOT_IN_NAMES = str.maketrans("^=\\", "   ")
Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations
LONGEST = 64
"""Letters of a code's meaning."""
SCORE = {
    True: Code("85319-2", "LN", "HER2 Br ca spec Ql ImStn"),
    False: Code("18474-7", "LN", "HER2 Ag Tiss Ql ImStn"),
}
"""By whether the protocol is of breast."""
UNIFORM_INTENSE = Code("85328-3", "LN", "Cells.HER2 uniform intense membrane/cells Br ca")
SIGNED_SCORE = local("signed-category", "HER2 category given by the pathologist")
ISH = local("ish", "In situ hybridisation as a person entered it")
PRINTED = local("printed", "HER2 category as the report words it")
PROCEDURE = local("her2-analysis", "Image analysis of HER2 immunohistochemistry")
KINDS = {
    RegionKind.TUMOUR: codes.SCT.Neoplasm,
    RegionKind.EXCLUDE: local("exclude", "Left out of the score"),
    RegionKind.ARTEFACT: local("artefact", "Artefact, left out of the score"),
}


def structured_report(
    content: Content, regions: Sequence[Region], source: Dataset, identity: Identity
) -> ComprehensiveSR:
    """Return the object. regions: those that were scored."""
    groups: list[Group] = [slide_group(content, source, identity)]
    groups += region_groups(regions, source, identity)
    report = MeasurementReport(
        observation_context=observers(content, identity),
        procedure_reported=PROCEDURE,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[source],
    )
    return ComprehensiveSR(
        evidence=[source],
        content=report,
        is_complete=True,
        is_final=content.signature is not None,
        **identity.ids,
        manufacturer=MAKER["manufacturer"],
    )


def observers(content: Content, identity: Identity) -> ObservationContext:
    version = content.document["provenance"]["software"]["version"]
    device = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=identity.uid("device"), name=PRODUCT, model_name=f"HER2 {version}"
        ),
    )
    if content.signature is None:
        return ObservationContext(observer_device_context=device)
    person = ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=PersonObserverIdentifyingAttributes(
            name=person_name(content.signature.full_name)
        ),
    )
    return ObservationContext(observer_device_context=device, observer_person_context=person)


def person_name(name: str) -> str:
    """A name as people write it, as the one component of DICOM's that it is."""
    return name.translate(NOT_IN_NAMES) + "^"


def slide_group(
    content: Content, source: Dataset, identity: Identity
) -> MeasurementsAndQualitativeEvaluations:
    protocol = content.document["protocol"]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(identity.uid("slide"), "HER2 score of the slide"),
        finding_type=codes.SCT.Neoplasm,
        method=local("protocol", f"{protocol['title']} {protocol['version']}"[:LONGEST]),
        algorithm_id=AlgorithmIdentification(
            name="Membrana HER2",
            version=content.document["provenance"]["software"]["version"],
            parameters=[
                content.urn,
                f"document sha256 {content.document_sha256}",
                f"protocol sha256 {protocol['sha256']}",
            ],
        ),
        measurements=list(measurements(content)),
        qualitative_evaluations=list(evaluations(content)),
        source_images=[SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )


def evaluations(content: Content) -> Iterator[QualitativeEvaluation]:
    document = content.document
    breast = document["protocol"]["name"] == BREAST
    yield evaluation(local("intended-use", "Intended use"), local("ruo", RESEARCH_USE_ONLY))
    yield evaluation(SCORE[breast], answer(coded_score(document)))
    if document["printed_score"] != coded_score(document):
        # categories that the slide's resolution can't tell apart: no code says that
        yield evaluation(PRINTED, coded("printed-category", document["printed_score"]))
    yield evaluation(
        local("reason", "Rule that decided"), coded(document["reason"], document["reason_text"])
    )
    if content.signature:
        yield evaluation(SIGNED_SCORE, answer(content.signature.score))
    yield from named(content)
    if content.ish:
        meaning = f"{content.ish['result']}, {content.ish['method']}"
        yield evaluation(ISH, coded("ish-entered", meaning))
    for flag in document["flags"]:
        meaning = words.plain(flag["code"], words.FLAGS)
        yield evaluation(local("remark", "Remark"), coded(flag["code"], meaning))


def named(content: Content) -> Iterator[QualitativeEvaluation]:
    """What the slide is called, and who signed as what, as far as that is known and frozen."""
    signed = content.signature
    rows = []
    if "name" in content.slide:
        rows += [("case", "Case", content.case), ("block", "Block", content.block)]
        rows.append(("slide", "Slide", content.slide["name"]))
    if signed and signed.facts:
        rows.append(("role", "Role of the signer", words.plain(signed.role, words.ROLES)))
        if signed.without_review:
            rows.append(("review", "Review", "Signed without a review in Membrana"))
    for code, name, value in rows:
        yield evaluation(local(code, name), coded(f"{code}-stated", value))


def evaluation(name: Code, value: Code) -> QualitativeEvaluation:
    return QualitativeEvaluation(name=name, value=value)


def answer(score: str) -> Code:
    """LOINC's answer; 0+ has none and is a local code."""
    if score == "0+":
        return local("0+", "0+ (0 with faint incomplete staining)")
    value, display = ANSWERS[score]
    return Code(value, "LN", display)


def coded(code: str, meaning: str) -> Code:
    """A local code whose meaning is as long as DICOM takes it."""
    return local(code, meaning[:LONGEST])


def measurements(content: Content) -> Iterator[Measurement]:
    document = content.document
    breast = document["protocol"]["name"] == BREAST
    for name, share in document["percent"].items():
        if share["value"] is None:
            continue
        meaning = CLASS_NAMES.get(name) or words.plain(name, words.GROUPS).lower()
        uniform = breast and name == "intense_complete"
        code = UNIFORM_INTENSE if uniform else percent_code(name, meaning)
        yield measured(code, share, codes.UCUM.Percent)
    if document["h_score"]["value"] is not None:
        yield measured(local("h-score", "H-score"), document["h_score"], codes.UCUM.NoUnits)
    cells = Code("{cells}", "UCUM", "cells")
    yield Measurement(local("cells", "Tumour cells evaluated"), document["cells"], cells)


def percent_code(name: str, meaning: str) -> Code:
    return local(f"percent-{name.replace('_', '-')}", f"Cells, {meaning}"[:LONGEST])


def measured(code: Code, value: dict[str, Any], unit: Code) -> Measurement:
    """A number with its interval as what it may be more or less."""
    number, low, high = value["value"], value["low"], value["high"]
    interval = None
    if low is not None and high is not None:
        interval = MeasurementProperties(
            upper_measurement_uncertainty=round(max(0.0, high - number), 4),
            lower_measurement_uncertainty=round(max(0.0, number - low), 4),
        )
        for bound in interval:
            # highdicom writes 1: 3.8 of a percentage would read as 380 %
            bound.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [
                CodedConcept.from_code(unit)
            ]
    return Measurement(name=code, value=number, unit=unit, properties=interval)


def region_groups(
    regions: Sequence[Region], source: Dataset, identity: Identity
) -> Iterator[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """A group a polygon: its outline, and its area less its holes."""
    measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    mm2 = float(measures.PixelSpacing[0]) * float(measures.PixelSpacing[1])
    for region in regions:
        for number, rings in enumerate(region.polygons):
            outline, *holes = (abs(twice_area(ring)) / 2 for ring in rings)
            yield PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=TrackingIdentifier(
                    identity.uid(f"region {region.id} {number}"),
                    (region.name or str(region.kind))[:LONGEST],
                ),
                referenced_region=ImageRegion(
                    graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
                    graphic_data=np.array(rings[0], np.float64),
                    source_image=SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
                    pixel_origin_interpretation=hd.sr.PixelOriginInterpretationValues.VOLUME,
                ),
                finding_type=KINDS[region.kind],
                measurements=[
                    Measurement(
                        name=codes.SCT.Area,
                        value=round((outline - sum(holes)) * mm2, 6),
                        unit=codes.UCUM.SquareMillimeter,
                    )
                ],
            )
