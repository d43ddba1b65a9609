"""The formats of reports. A new one is a file here, with its FORMAT, and its line in LISTED.

What it needs that only pixels and cells can give is made by one of worker/exporters.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.exchange.reports.format import Format


@dataclass(frozen=True)
class Listed:
    """What is known of a format before its file is loaded, which its first use does.

    name: of its file here, and on the command line. ending: of the address, and of the file unless
    `file_ending` is given. may_be_gzipped: the request may ask for a .gz file.
    """

    name: str
    ending: str
    media_type: str
    file_ending: str = ""
    may_be_gzipped: bool = False

    def load(self) -> "Format":
        form: Format = import_module(f"{__name__}.{self.name}").FORMAT
        return form


LISTED = (
    Listed("pdf", "pdf", "application/pdf"),
    Listed("html", "html", "text/html; charset=utf-8"),
    Listed("json", "json", "application/json"),
    Listed("log", "log.json", "application/json", file_ending="score-log.json"),
    Listed("csv", "csv", "text/csv", file_ending="cells.csv"),
    Listed("tiles", "tiles.csv", "text/csv"),
    Listed("fhir", "fhir.json", "application/fhir+json"),
    Listed("geojson", "geojson", "application/geo+json", may_be_gzipped=True),
    Listed("seg", "seg.dcm", "application/dicom"),
    Listed("ann", "ann.dcm", "application/dicom"),
    Listed("sr", "sr.dcm", "application/dicom"),
)
NAMES = tuple(each.name for each in LISTED)
