"""`membrana report`: a slide's HER2 report from a running service; a check of such a file."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import AlreadyTold, app, complain, connect, say
from backend.client import Client, JobFailed
from backend.exchange.reports.formats import LISTED, NAMES
from backend.progress import bar
from worker.commands.options import Refused

VERIFY = "verify"
GZIP = b"\x1f\x8b"
IDENTICAL, DIFFERS = "identical", "differs"


@app.command()
def report(
    slide: Annotated[str, typer.Argument(help="A slide's id; or `verify`, to check a file.")],
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="What `verify` checks.")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help=", ".join(NAMES))] = "pdf",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    protocol: Annotated[str, typer.Option(help="Scoring protocol of a new report.")] = "",
    *,
    new: Annotated[
        bool, typer.Option("--new", help="Compute anew even if there is a report already.")
    ] = False,
) -> None:
    """Write a slide's newest HER2 report to a file, computed first if there is none.

    `membrana report verify FILE` compares a report's file with the service's own, checks its
    signature, and has the report computed again from the slide. Prints JSON.
    """
    if (slide == VERIFY) != (file is not None):
        raise typer.BadParameter("give a slide's id, or `verify` and a file")
    if kind not in NAMES:
        raise typer.BadParameter(f"--format is one of {', '.join(NAMES)}")
    with connect() as client:
        if file is not None:
            verify(client, file)
            return
        if output is None:
            raise typer.BadParameter("name the file to write with -o")
        document = None if new or protocol else newest(client, slide)
        document = document or computed(client, slide, protocol)
        [ending] = (each.ending for each in LISTED if each.name == kind)
        content = client.ask("GET", f"/reports/{document['id']}.{ending}").content
        output.write_bytes(content)
        say(json.dumps(summary(document, output), ensure_ascii=False))


def newest(client: Client, slide_id: str) -> Any:
    """Return the newest report of a slide that is computed, or None."""
    rows = client.get(f"/slides/{slide_id}/reports")["items"]
    return next((row for row in rows if row["state"] not in {"computing", "failed"}), None)


def computed(client: Client, slide_id: str, protocol: str) -> Any:
    wanted = {"protocol": protocol} if protocol else {}
    job = client.ask("POST", f"/slides/{slide_id}/reports", json=wanted).json()
    with bar("scoring", 1) as show:
        client.wait_for_job(job["id"], progress=show)
    return client.get(f"/reports/{job['report_id']}")


def summary(document: Any, output: Path) -> dict[str, Any]:
    signature = document["signature"]
    return {
        "report": document["id"],
        "state": document["state"],
        "score": document["printed_score"],
        "signed_score": signature and signature["score"],
        "protocol": document["protocol"],
        "file": str(output),
        "research_use_only": document["research_use_only"],
    }


def verify(client: Client, file: Path) -> None:
    """Compare a file with the service's, and the report with one that is computed again."""
    content = unpacked(file.read_bytes())
    report_id, ending = origin_of(content)
    state = client.get(f"/reports/{report_id}")["state"]
    now = client.ask("GET", f"/reports/{report_id}.{ending}").content
    comparison = {
        "report": report_id,
        "state": state,
        "format": ending,
        "file": IDENTICAL if now == content else DIFFERS,
    }
    check = client.get(f"/reports/{report_id}/signature")
    comparison["signature"] = check["standing"]
    for sentence in check["findings"]:
        complain(sentence)
    job = client.ask("POST", f"/reports/{report_id}/verify").json()
    try:
        with bar("computing again", 1) as show:
            client.wait_for_job(job["id"], progress=show)
        comparison["computed_again"] = IDENTICAL
    except JobFailed as failed:
        comparison |= {"computed_again": DIFFERS, "detail": failed.detail}
    say(json.dumps(comparison, ensure_ascii=False))
    same = {comparison["file"], comparison["computed_again"]} == {IDENTICAL}
    if not same or check["standing"] == "not_valid":
        raise AlreadyTold("The file or the report differs, or its signature is not valid.")


def unpacked(content: bytes) -> bytes:
    """Return a file without its gzip layer, if it has one. Raise Refused if that is cut off."""
    if not content.startswith(GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused("The file is no whole gzip file.", code="not_a_report") from error


def origin_of(content: bytes) -> tuple[str, str]:
    """Return which report a file is of, and in which format. Raise Refused if it is none."""
    from backend.exchange.reports.format import URN, File

    file = File(content)
    for form in LISTED:
        urn = form.load().urn_in(file)
        match = URN.fullmatch(urn.encode()) if isinstance(urn, str) else None
        if match is not None:
            return match[1].decode(), form.ending
    raise Refused(
        "The file is none of a report's: it names no report, or it is cut off.",
        code="not_a_report",
    )
