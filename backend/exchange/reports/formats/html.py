"""The report as one HTML file without scripts: the content of the PDF, for a screen."""

from functools import cache
from typing import TYPE_CHECKING

from backend.exchange.reports.format import Format, headed
from backend.exchange.reports.formats.pdf import figures
from backend.exchange.reports.printed import printed
from backend.her2.reports.content import Content

if TYPE_CHECKING:
    import jinja2

TEMPLATE, STYLE = "report.html.jinja", "report.css"
AS_BEFORE = (("&#34;", "&quot;"), ("&#39;", "&#x27;"))
"""Quotes as the first versions wrote them: a file that was taken then is still told to be whole."""


def html(content: Content) -> bytes:
    """Return the report as UTF-8 HTML; all that people typed is escaped."""
    # loaded with the first report: the service starts without it
    from markupsafe import Markup

    # drawn by us, and whatever words are in them are escaped there
    svgs = {name: Markup(svg) for name, svg in figures(content).items()}  # noqa: S704 - our own
    page = template().render(printed(content), figures=svgs)
    for now, before in AS_BEFORE:
        page = page.replace(now, before)
    return page.encode()


@cache
def template() -> "jinja2.Template":
    """Load the page once. Every value but markup is escaped; an unknown name is an error."""
    import jinja2
    from markupsafe import Markup

    loader = jinja2.PackageLoader("backend.exchange.reports", ".")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    style, _, _ = loader.get_source(environment, STYLE)
    environment.globals["style"] = Markup(style.strip())  # noqa: S704 - our own file
    return environment.get_template(TEMPLATE)


FORMAT = Format(lambda source: html(source.content), headed(b"<!doctype html"))
