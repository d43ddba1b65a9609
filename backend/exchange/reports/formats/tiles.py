"""The counts of each tile as CSV: what the intervals are drawn from."""

from backend.exchange.reports.format import Format, Gzipped, Source, headed
from backend.kit.errors import Conflict


class TilesNotMade(Conflict):
    code, title = "tiles_not_made", "This report has no table of tiles"


def write(source: Source) -> Gzipped:
    if "tiles" not in source.report.files:
        raise TilesNotMade("The report is older than this export. Ask for a new report.")
    return Gzipped.of(source, "tiles")


FORMAT = Format(write, headed(b"tile,"))
