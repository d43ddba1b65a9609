"""In which reports a person signed another category than was computed: statistics ask for it."""

from collections.abc import Sequence

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from backend.her2.reports.tables import Report, ReportState
from backend.kit.facts import on
from backend.learning.statistics.facts import ReportsSigned, SignedReports


@on(ReportsSigned)
def signed_reports(session: Session, question: ReportsSigned) -> Sequence[SignedReports]:
    """Count the signed reports that stand, by signer and slide; amended ones are superseded."""
    differs = case((Report.signed_score.is_distinct_from(Report.score), 1), else_=0)
    statement = (
        select(
            Report.signed_by,
            Report.slide_id,
            func.count().label("signed"),
            func.sum(differs).label("overridden"),
        )
        .where(Report.state == ReportState.SIGNED, Report.signed_by.is_not(None))
        .group_by(Report.signed_by, Report.slide_id)
    )
    if question.slide_id is not None:
        statement = statement.where(Report.slide_id == question.slide_id)
    if question.since is not None:
        statement = statement.where(Report.signed_at >= question.since)
    if question.until is not None:
        statement = statement.where(Report.signed_at < question.until)
    return [
        SignedReports(row.signed_by, row.slide_id, row.signed, row.overridden)
        for row in session.execute(statement)
    ]
