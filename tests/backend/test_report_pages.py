"""The pages of the PDF as a reader sees them: every word in its place, on every page the statement.

The content is kept beside the golden pages, so that nothing that is measured moves them. After a
wanted change: `python -m tests.backend.test_report_pages` writes them anew; look at the difference.
"""

import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from backend.exchange.reports import words
from backend.exchange.reports.formats.pdf import pages, pdf
from backend.her2.reports.content import Content
from backend.kit.product import RESEARCH_USE_ONLY
from tests.support.reported import URN, content

GOLDEN = Path(__file__).parent / "golden"
BREAK = "\n" + "=" * 30 + "\n"


@cache
def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 180, 170)).save(file, "JPEG")
    return file.getvalue()


def kept(*, signed: bool) -> Content:
    """Return a report whose numbers were written down once; its pictures are bare."""
    read = json.loads((GOLDEN / "report.json").read_text())
    whole = content(signed=signed)
    return replace(
        whole,
        document=read["document"],
        document_sha256="cd" * 32,
        figures=read["figures"],
        picture=lambda _: jpeg(),
    )


def texts(file: bytes) -> list[str]:
    """Return the text of each page, a line of it as one line."""
    with pypdfium2.PdfDocument(file) as document:
        said = [page.get_textpage().get_text_bounded() for page in document]
    return ["\n".join(line.strip() for line in page.splitlines()) for page in said]


def golden(*, signed: bool) -> Path:
    return GOLDEN / ("report_signed.txt" if signed else "report_draft.txt")


@pytest.mark.parametrize("signed", [False, True])
def test_the_pages_say_what_they_said(*, signed: bool) -> None:
    found = texts(pdf(kept(signed=signed)))
    assert len(found) == 4
    assert BREAK.join(found) + "\n" == golden(signed=signed).read_text()


def test_every_page_has_the_statement_the_case_and_the_address() -> None:
    whole = content(signed=True)
    found = texts(pdf(whole))
    for number, page in enumerate(found, 1):
        assert RESEARCH_USE_ONLY in page
        assert whole.case in page
        assert URN in page
        assert f"page {number} of {len(found)}" in page
        assert "Draft" not in page
    assert all("Draft" in page for page in texts(pdf(content())))


def test_flags_intervals_and_sources_stand_in_words() -> None:
    whole = content()
    said = " ".join("\n".join(texts(pdf(whole))).split())
    document = whole.document
    for flag in document["flags"]:
        assert words.FLAGS[flag["code"]] in said
        assert flag["detail"] in said
    for code, share in document["percent"].items():
        assert f"{share['value']:.1f} % {share['low']:.1f} – {share['high']:.1f}" in said, code
    source = document["provenance"]
    for sha256 in (
        whole.document_sha256,
        source["slide"]["sha256"],
        source["masks"]["sha256"],
        source["model"]["weights_sha256"],
        document["protocol"]["sha256"],
        source["software"]["code_sha256"],
    ):
        assert sha256 in said


def test_many_flags_and_a_long_comment_push_nothing_off_a_page() -> None:
    whole = content(signed=True)
    flags = [
        {"code": code, "severity": "warning", "detail": "It was seen in parts of the slide. " * 3}
        for code in words.FLAGS
    ]
    assert whole.signature is not None
    long = replace(
        whole,
        document={**whole.document, "flags": flags},
        signature=replace(whole.signature, comment="Seen with a colleague at 40×. " * 40),
        amendment_reason="https://" + "W" * 300,
    )
    assert len(texts(pdf(long))) > len(texts(pdf(whole)))
    for page in pages(long, 50):
        grey = np.asarray(Image.open(io.BytesIO(page)).convert("L"))
        assert (grey[:, -15:] > 250).all()
        assert (grey[:, :15] > 250).all()


def test_what_the_fonts_cannot_draw_is_shown_by_its_number() -> None:
    """Any name can be signed with; an unseen override of the reading order turns no words round."""
    whole = content(signed=True)
    assert whole.signature is not None
    typed = replace(
        whole,
        slide={**whole.slide, "case_id": "24-\U0001f600"},
        signature=replace(
            whole.signature, name="伊藤 Žofie", comment="a\x01b\u202ec\nd ≥ 1 µm → ✓"
        ),
    )
    said = "".join(texts(pdf(typed)))
    assert "24-[U+1F600]" in said
    assert "[U+4F0A][U+85E4] Žofie" in said
    assert "a[U+0001]b[U+202E]c" in said
    assert "d ≥ 1 µm → ✓" in said


if __name__ == "__main__":
    for each in (False, True):
        golden(signed=each).write_text(BREAK.join(texts(pdf(kept(signed=each)))) + "\n")
