"""Which report a file is of: told from every format, and from nothing else."""

import gzip
import json

import pytest

from backend.exchange.reports import structured_report
from backend.exchange.reports.dicom import Identity, serialized
from backend.exchange.reports.formats.fhir import fhir
from backend.exchange.reports.formats.html import html
from backend.exchange.reports.formats.pdf import pdf
from tests.support.dicom_slide import source
from tests.support.reported import AT, REGIONS, REPORT_ID, SIDE, URN, content, included, measured
from worker.commands.options import Refused
from worker.commands.report import origin_of, unpacked
from worker.exporters import cells_csv, cells_dicom, cells_geojson

CELLS = measured()[0]
IDENTITY = Identity(REPORT_ID, "test")
JSON = json.dumps({"amends": URN.replace("aa", "ab"), "urn": URN}).encode()


def structured() -> bytes:
    made = structured_report.structured_report(
        content(signed=True), REGIONS, source(SIDE, SIDE), IDENTITY
    )
    return serialized(made, IDENTITY, AT)


def annotated() -> bytes:
    made = cells_dicom.annotations(CELLS, included(CELLS), source(SIDE, SIDE), IDENTITY)
    assert made is not None
    return serialized(made, IDENTITY, AT)


@pytest.mark.parametrize(
    ("file", "ending"),
    [
        (pdf(content(signed=True)), "pdf"),
        (html(content(signed=True)), "html"),
        (fhir(content(signed=True), pdf=b"", pdf_url="/x.pdf"), "fhir.json"),
        ("".join(cells_csv.lines(CELLS, included(CELLS), urn=URN)).encode(), "csv"),
        (b'tile,x,"For Research Use Only. ' + URN.encode() + b'"\r\n', "tiles.csv"),
        (
            "".join(
                cells_geojson.pieces(CELLS, included(CELLS), REGIONS, report_id=REPORT_ID, urn=URN)
            ).encode(),
            "geojson",
        ),
        (JSON, "json"),
        (structured(), "sr.dcm"),
        (annotated(), "ann.dcm"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_names_its_report(file: bytes, ending: str) -> None:
    # an amendment names the report it amends as well: that is not the one meant
    assert origin_of(file) == (REPORT_ID, ending)


SLIDE = bytes(128) + b"DICM" + URN.encode()


ELSEWHERE = json.dumps({"urn": "urn:membrana:report:../users"}).encode()


@pytest.mark.parametrize(
    "file",
    [SLIDE, b"", b"{}", b"[1]", b"{", b"%PDF-1.7", b"a,b\r\n1,2\r\n", b'{"urn": 3}', ELSEWHERE],
)
def test_other_files_are_refused(file: bytes) -> None:
    with pytest.raises(Refused):
        origin_of(file)


def test_a_packed_file_is_whole_or_refused() -> None:
    packed = gzip.compress(JSON)
    assert unpacked(packed) == unpacked(JSON) == JSON
    for part in (packed[:-9], packed[:12] + b"\0" + packed[13:]):
        with pytest.raises(Refused, match="no whole gzip"):
            unpacked(part)
