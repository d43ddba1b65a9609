"""The report as PDF/A-2b, set by typst with bundled fonts and a fixed date.

Equal content gives equal bytes. What people typed may hold characters that the fonts have no glyph
for (Chinese, Hebrew, emoji, controls), and PDF/A allows no blank in their place: each is shown by
its number, as in [U+6F22]. The other formats have the characters themselves.
"""

import json
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backend.exchange.reports import svg_figures
from backend.exchange.reports.format import Format, Source, headed
from backend.exchange.reports.printed import printed
from backend.her2.reports.content import Content

TEMPLATE = "report.typ"
FONT = "SourceSansPro-Regular.ttf"
SPACES = "\t\n\r"
PPI = 110.0


def pdf(content: Content) -> bytes:
    """Return the report's PDF."""
    whole = typeset(
        content, format="pdf", pdf_standards="a-2b", timestamp=content.dated.replace(microsecond=0)
    )
    if not isinstance(whole, bytes):
        msg = "typst returned no document"
        raise TypeError(msg)
    return whole


def pages(content: Content, ppi: float = PPI) -> list[bytes]:
    """Return the PDF's pages as PNG, to look at."""
    images = typeset(content, format="png", ppi=ppi)
    return images if isinstance(images, list) else [images]


def typeset(content: Content, **options: Any) -> Any:
    # loaded with the first report: the service starts without it
    import typst

    package = files("backend.exchange.reports")
    with TemporaryDirectory(prefix="membrana-report-") as folder, as_file(package) as home:
        root = Path(folder)
        (root / TEMPLATE).write_bytes((home / TEMPLATE).read_bytes())
        (root / "report.json").write_text(json.dumps(drawable(printed(content))))
        for name, figure in figures(content).items():
            (root / f"{name}.svg").write_text(figure)
        return typst.compile(
            str(root / TEMPLATE),
            root=str(root),
            font_paths=[str(home / "fonts")],
            ignore_system_fonts=True,
            **options,
        )


def drawable(value: Any) -> Any:
    """Return what is printed with nothing in it that the fonts can't draw."""
    if isinstance(value, dict):
        return {name: drawable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [drawable(each) for each in value]
    if not isinstance(value, str):
        return value
    known = glyphs()
    return "".join(each if ord(each) in known else f"[U+{ord(each):04X}]" for each in value)


@cache
def glyphs() -> frozenset[int]:
    """Code points that the bundled fonts draw; the semibold one has the same."""
    from fontTools.ttLib import TTFont

    with (
        (files("backend.exchange.reports") / "fonts" / FONT).open("rb") as file,
        TTFont(file) as font,
    ):
        return frozenset(font.getBestCmap()) | set(map(ord, SPACES))


def figures(content: Content) -> dict[str, str]:
    """Draw every figure of the report as SVG, by name."""
    document, pictures = content.document, content.figures
    thresholds = document["protocol"]["thresholds"]
    histogram = document["histogram"]
    svgs = {
        "classes": svg_figures.class_bar(document["counts"]),
        "probability": svg_figures.probability_bar(document["probability"]),
        "intensity": svg_figures.intensity_histogram(histogram["intensity"], thresholds),
        "completeness": svg_figures.completeness_histogram(histogram["completeness"], thresholds),
    }
    if overview := pictures.get("overview"):
        svgs["overview"] = svg_figures.overview(overview, content.picture, heat=False)
        svgs["heat"] = svg_figures.overview(overview, content.picture, heat=True)
    for place, each in enumerate(pictures.get("fields", ())):
        svgs[f"field_{place}"] = svg_figures.field(each, content.picture, outlined=False)
        svgs[f"field_{place}_cells"] = svg_figures.field(each, content.picture, outlined=True)
    for place, row in enumerate(pictures.get("gallery", ())):
        svgs[f"gallery_{place}"] = svg_figures.gallery_row(row, content.picture)
    return svgs


def write(source: Source) -> bytes:
    """Return the PDF: of a signed report the very one that was signed."""
    # also where it is stored: nobody is handed a PDF of a document that was altered
    content = source.content
    signed = source.report.pdf_sha256
    return source.blobs.read(signed) if signed else pdf(content)


FORMAT = Format(write, headed(b"%PDF"))
