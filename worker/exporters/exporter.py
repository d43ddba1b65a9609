"""What an exporter is: it makes a file of a report, or of a slide's masks, of pixels and cells."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backend.exchange.masks.contents import Contents
from backend.her2.reports import loading
from backend.her2.reports.tables import Report
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide
from worker.context import JobContext
from worker.her2.document import Scored
from worker.her2.measurement import Opened


@dataclass(frozen=True)
class Scene:
    """A computed report with its open slide."""

    report: Report
    slide: Slide
    settings: Settings
    on: Opened
    scored: Scored

    @property
    def urn(self) -> str:
        return loading.urn_of(self.report.id)


@dataclass(frozen=True)
class ReportFile:
    """A file of a report.

    name: under which Report.files has it. write: pieces of text, which are kept gzipped, or bytes;
    None where there is nothing to put into it. of_dicom: only slides stored in DICOM have it; its
    `write` may raise DicomIncomplete. of_inputs: it follows from the report's inputs alone, so it
    stays when people decide on cells.
    """

    name: str
    write: Callable[[Scene], Iterable[str] | bytes | None]
    of_dicom: bool = False
    of_inputs: bool = False


@dataclass(frozen=True)
class MaskFile:
    """A file of a slide's masks. name: the format's (backend/exchange/masks)."""

    name: str
    write: Callable[[JobContext, Contents], bytes]
