"""The report as one HTML file without scripts: the content of the PDF, for a screen."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from backend.exchange.reports.format import Format, headed
from backend.exchange.reports.formats.pdf import figures
from backend.exchange.reports.printed import printed
from backend.her2.reports.content import Content

STYLE = """
body{font:15px/1.45 "Source Sans 3","Source Sans Pro","Segoe UI",Helvetica,Arial,sans-serif;
color:#1f2a36;max-width:1040px;margin:0 auto;padding:1.2rem}
h1{font-size:1.6rem;margin:.2em 0}h2{font-size:1.15rem;margin:1.6em 0 .4em}
svg{width:100%;height:auto;display:block}table{border-collapse:collapse;width:100%;font-size:.93em}
th{text-align:left;color:#5d6975;font-weight:600;font-size:.88em;border-bottom:1px solid #c9d1d9}
td,th{padding:.22em .5em}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.decided td{font-weight:600}.two{display:grid;grid-template-columns:1fr 1fr;gap:1.4rem}
.three{display:grid;grid-template-columns:repeat(3,1fr);gap:.7rem}
.gallery{display:grid;grid-template-columns:11rem 1fr;gap:.5rem 1rem;align-items:center}
.verdict{background:#f4f6f8;border:1px solid #c9d1d9;border-left:.5rem solid;padding:.6rem 1rem;
margin-bottom:.7rem}.verdict b{font-size:2.4rem;display:block;line-height:1.1}
.status{background:#fdf1d8;padding:.45rem .8rem;font-weight:600}.signed{background:#e6f0e8}
.note{color:#5d6975;font-size:.87em}.flag{border-left:3px solid #5d6975;padding-left:.6rem}
.fatal{border-color:#b3261e}.limiting{border-color:#a85b00}
.chip{display:inline-block;width:.8em;height:.8em;border:1px solid #1f2a36;margin-right:.35em}
dl{display:grid;grid-template-columns:auto 1fr;gap:.2em 1em;margin:0}dt{color:#5d6975}
dd{margin:0;overflow-wrap:anywhere}.ruo{border:2px solid #1f2a36;padding:.4rem .8rem;
font-weight:600;margin:1rem 0}
@media print{.ruo.top{position:fixed;bottom:0;left:0;right:0;background:#fff;margin:0}
body{padding-bottom:3rem}h2{break-after:avoid}svg,tr{break-inside:avoid}}
@media(max-width:700px){.two,.three{grid-template-columns:1fr}}
""".strip()


def html(content: Content) -> bytes:
    """Return the report as UTF-8 HTML; all that people typed is escaped."""
    said = printed(content)
    drawn = figures(content)
    warning = escape(said["research_use_only"])
    body = "".join(
        [
            f'<p class="ruo top">{warning}</p>',
            f"<h1>{escape(said['title'])}</h1>",
            caption(said),
            f'<p class="status{" signed" if said["signed"] else ""}">{escape(said["status"])}</p>',
            paragraph(said["amendment"]),
            two(verdicts(said), pairs(said["facts"])),
            remarks(said["flags"]),
            classes(said, drawn),
            certainty(said, drawn),
            places(said, drawn),
            gallery(said, drawn),
            heading("Distributions"),
            two(drawn["intensity"], drawn["completeness"]),
            heading("How this was made"),
            paragraph(said["statement"]),
            two(pairs(said["assay"]), pairs(said["thresholds"])),
            heading("Provenance"),
            pairs(said["provenance"]),
            tables_of_people(said),
            signature(said["signature"]),
            f'<p class="ruo">{warning}</p>',
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="keywords" content="{escape(said["urn"])}">'
        f"<title>{escape(said['title'])}</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    ).encode()


def caption(said: Mapping[str, Any]) -> str:
    block = f" · block {said['block']}" if said["block"] else ""
    line = f"Case {said['case']}{block} · version {said['version']} · {said['dated']}"
    return paragraph(line, "note")


def heading(words: str) -> str:
    return f"<h2>{escape(words)}</h2>"


def paragraph(words: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(words)}</p>' if words else ""


def two(left: str, right: str) -> str:
    return f'<div class="two"><div>{left}</div><div>{right}</div></div>'


def pairs(rows: Iterable[Sequence[str]]) -> str:
    inside = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{inside}</dl>"


def chip(colour: str) -> str:
    return f'<span class="chip" style="background:{colour}"></span>'


def table(
    head: Sequence[str],
    rows: Iterable[Mapping[str, str]],
    names: Sequence[str],
    numbers: Iterable[str] = (),
) -> str:
    """Lay rows out by the names of their values; `numbers` are set to the right."""
    right = set(numbers)
    kinds = (" class=n" if name in right else "" for name in names)
    top = "".join(f"<th{kind}>{escape(each)}</th>" for each, kind in zip(head, kinds, strict=True))
    lines = []
    for row in rows:
        cells = "".join(
            f"<td{' class=n' if name in right else ''}>"
            f"{chip(row['colour']) if name == 'code' and 'colour' in row else ''}"
            f"{escape(row[name])}</td>"
            for name in names
        )
        lines.append(f"<tr{' class=decided' if row.get('decided') else ''}>{cells}</tr>")
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def verdicts(said: Mapping[str, Any]) -> str:
    computed, final = said["computed"], said["final"]
    parts = [verdict("Computed category", computed, [computed["reason"], said["ish"]])]
    if final:
        differs = f"Differs because: {final['reason']}" if final["reason"] else ""
        by = f"{final['name']}, {final['at']}"
        words = [by, final["meaning"], final["review"], differs, final["comment"]]
        parts.append(verdict("Pathologist's category", final, words))
    return "".join(parts)


def verdict(title: str, score: Mapping[str, str], words: Sequence[str]) -> str:
    inside = "".join(paragraph(each) for each in words)
    return (
        f'<div class="verdict" style="border-left-color:{score["colour"]}">'
        f'<span class="note">{escape(title)}</span><b>{escape(score["score"])}</b>{inside}</div>'
    )


def remarks(flags: Sequence[Mapping[str, str]]) -> str:
    if not flags:
        return ""
    return heading("What to look at") + "".join(
        f'<p class="flag {flag["severity"]}"><b>{escape(flag["said"])}</b>'
        f"{grade(flag)}. {escape(flag['detail'])}</p>"
        for flag in flags
    )


def grade(flag: Mapping[str, str]) -> str:
    return f" ({flag['grade']})" if flag["grade"] else ""


def classes(said: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    by_class = table(
        ("", "Membrane", "Cells", "Share", "95 % interval"),
        said["classes"],
        ("code", "said", "cells", "percent", "interval"),
        ("cells", "percent", "interval"),
    )
    together = table(
        ("Together", "Share", "95 % interval"),
        said["groups"],
        ("said", "percent", "interval"),
        ("percent", "interval"),
    )
    bar = heading("Cells by class") + drawn["classes"]
    note = paragraph(said["interval_note"], "note")
    return bar + two(by_class, together + pairs(said["secondary"])) + note


def certainty(said: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    tests = table(
        (
            "Test of the protocol, in its order",
            "Gives",
            "Now",
            "Asked",
            "",
            "Cells to turn it over",
        ),
        said["tests"],
        ("said", "score", "now", "asked", "met", "flips"),
        ("now", "asked", "flips"),
    )
    note = paragraph(said["probability_note"], "note")
    title = heading("How sure, and how near to another category")
    return f"{title}{drawn['probability']}{note}{tests}"


def places(said: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    parts = [heading("Where on the slide")]
    if "overview" in drawn:
        parts.append(two(drawn["overview"], drawn["heat"]))
        legend = "".join(f"{chip(each['colour'])}{each['said']} " for each in said["legend_scores"])
        parts.append(f'<p class="note">Each field in the colour of its own category: {legend}</p>')
    regions = table(
        ("Region", "Name", "Area"), said["regions"], ("kind", "name", "area"), ("area",)
    )
    parts.append(two(regions, pairs(said["heterogeneity"])))
    if said["fields"]:
        numbers = range(len(said["fields"]))
        parts.append(heading("Fields chosen by rule"))
        shown = [drawn[f"field_{place}"] for place in numbers]
        shown += [drawn[f"field_{place}_cells"] for place in numbers]
        shown += [paragraph(caption, "note") for caption in said["fields"]]
        inside = "".join(f"<div>{each}</div>" for each in shown)
        many = f"grid-template-columns:repeat({len(said['fields'])},minmax(0,33%))"
        parts.append(f'<div class="three" style="{many}">{inside}</div>')
    return "".join(parts)


def gallery(said: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    if not said["gallery"]:
        return ""
    rows = "".join(
        f"<div>{chip(row['colour'])}<b>{row['code']}</b> {escape(row['said'])}"
        f'<br><span class="note">{row["cells"]} cells</span></div>'
        f"<div>{drawn[f'gallery_{place}']}</div>"
        for place, row in enumerate(said["gallery"])
    )
    title = heading("Example cells, from faint to dark within each class")
    return f'{title}<div class="gallery">{rows}</div>'


def tables_of_people(said: Mapping[str, Any]) -> str:
    parts = []
    if said["edits"]:
        cells = table(
            ("Cell", "Change", "By", "Reason"), said["edits"], ("cell", "change", "who", "reason")
        )
        parts += [heading("Cells set by hand"), cells]
    if len(said["history"]) > 1:
        head = ("Version", "State", "Category", "Made", "Report")
        names = ("version", "state", "score", "at", "id")
        parts += [heading("Versions"), table(head, said["history"], names)]
    return "".join(parts)


def signature(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return heading("Signature") + paragraph("Not signed.")
    return heading("Signature") + pairs(rows)


FORMAT = Format(
    name="html",
    ending="html",
    media_type="text/html; charset=utf-8",
    write=lambda source: html(source.content),
    urn_in=headed(b"<!doctype html"),
)
