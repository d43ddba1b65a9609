"""In situ hybridisation as FHIR observations, as somebody entered it."""

from collections.abc import Iterator

from backend.exchange.reports.fhir_resources import (
    BREAST,
    LOINC,
    UCUM,
    Resource,
    coded,
    observation,
)
from backend.her2.reports.content import Content


def hybridised(content: Content) -> Iterator[Resource]:
    """What somebody entered of the in situ hybridisation."""
    if content.ish is None:
        return
    ish = content.ish
    breast = content.document["protocol"]["name"] == BREAST
    code = (
        coded(LOINC, "85318-4", "ERBB2 gene duplication in breast cancer specimen by FISH")
        if breast
        else coded(LOINC, "31150-6", "HER2 in tissue by FISH")
    )
    who = [{"display": ish["read_by"]}]
    result = observation(content, "ish", code)
    result["valueCodeableConcept"] = {"text": ish["result"]}
    result["method"] = {"text": f"In situ hybridisation, {ish['method']}"}
    entered = f"Entered by {ish['entered_by']['name']}, {ish['entered_at']}."
    group = f" Group {ish['group']}." if ish["group"] else ""
    result["note"] = [{"text": entered + group}]
    result["performer"] = who
    yield result
    for name, key, loinc, title, unit in (
        ("ish-ratio", "ratio", "49683-6", "HER2/chr 17 copy ratio", "{ratio}"),
        ("ish-copies", "copies", "74860-8", "HER2 copies per nucleus", "{copies}/{nucleus}"),
    ):
        if ish[key] is not None:
            number = observation(content, name, coded(LOINC, loinc, title))
            number["valueQuantity"] = {
                "value": ish[key],
                "unit": unit.translate({ord(each): None for each in "{}"}),
                "system": UCUM,
                "code": unit,
            }
            number["performer"] = who
            yield number
