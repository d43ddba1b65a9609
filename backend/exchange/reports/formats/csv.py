"""The cells as CSV, a row each."""

from backend.exchange.reports.format import Format, Gzipped, headed

FORMAT = Format(
    name="csv",
    ending="csv",
    file_ending="cells.csv",
    media_type="text/csv",
    write=lambda source: Gzipped.of(source, "csv"),
    urn_in=headed(b"cell,"),
)
