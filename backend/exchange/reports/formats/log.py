"""The way to a report's category: the log of its slide's score until the report was asked for."""

from typing import Any

from backend.exchange.reports.format import File, Format, Source
from backend.her2.scores import log
from backend.kit.canonical import canonical
from backend.kit.errors import Conflict


class NoLog(Conflict):
    code, title = "no_score_log", "This slide's score has no log before the report"


def write(source: Source) -> bytes:
    report = source.report
    steps = log.document(source.session, report.slide_id, until=report.created_at)
    if not steps["steps"]:
        raise NoLog("Nobody had begun to score the slide before the report was asked for.")
    return canonical(steps | {"report": source.content.urn}, ensure_ascii=False)


def urn_in(file: File) -> Any:
    of_log = file.document and file.document.get("schema") == log.SCHEMA
    return file.document.get("report") if of_log else None


FORMAT = Format(write, urn_in)
