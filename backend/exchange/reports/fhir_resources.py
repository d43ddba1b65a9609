"""What the FHIR export's resources are put together from: codes, numbers, identities."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from backend.her2.reports.content import Content
from backend.kit.product import RESEARCH_USE_ONLY

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
LOCAL = "urn:membrana:her2"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
BREAST = "asco_cap_2023_breast"
Resource = dict[str, Any]


def observation(content: Content, name: str, code: Resource) -> Resource:
    return {
        "resourceType": "Observation",
        "id": identity(content, name),
        "meta": marked(),
        "status": status(content),
        "category": [coded(CATEGORY, "laboratory", "Laboratory")],
        "code": code,
        "issued": instant(content),
    }


def measured(
    content: Content, name: str, code: Resource, value: Mapping[str, float], unit: str
) -> Resource:
    """A number with its 95 % interval as components."""

    def quantity(number: float) -> Resource:
        return {"value": round(number, 4), "unit": unit, "system": UCUM, "code": unit}

    resource = observation(content, name, code)
    resource["valueQuantity"] = quantity(value["value"])
    resource["component"] = [
        {"code": coded(LOCAL, f"{side}-95", display), "valueQuantity": quantity(value[side])}
        for side, display in (("low", "Lower end, 95 %"), ("high", "Upper end, 95 %"))
    ]
    return resource


def status(content: Content) -> str:
    if content.signature is None:
        return "preliminary"
    return "amended" if content.amends else "final"


def coded(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def marked() -> Resource:
    tag = {"system": LOCAL, "code": "research-use-only", "display": RESEARCH_USE_ONLY}
    return {"tag": [tag]}


def instant(content: Content) -> str:
    return content.dated.isoformat(timespec="seconds")


def identity(content: Content, name: str) -> str:
    return str(uuid5(UUID(content.urn.rpartition(":")[2]), name))


def address_of(content: Content, name: str) -> str:
    return f"urn:uuid:{identity(content, name)}"


def address(resource: Resource) -> str:
    return f"urn:uuid:{resource['id']}"
