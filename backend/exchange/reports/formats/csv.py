"""The cells as CSV, a row each."""

from backend.exchange.reports.format import Format, Gzipped, headed

FORMAT = Format(lambda source: Gzipped.of(source, "csv"), headed(b"cell,"))
