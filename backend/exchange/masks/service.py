"""Exports of a slide's masks, each in the simplest way that is bounded in memory.

Archives are made while they are sent: a mask is read, written and forgotten, which takes
milliseconds, so there is nothing to wait for, to keep or to sweep. What must be whole before its
head is known is a job's, whose file lies beside the slide's predictions and goes with them.
"""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.orm import Session

from backend.exchange.masks.archive import Entry, zipped
from backend.exchange.masks.contents import Contents
from backend.exchange.masks.format import Archive, Built, Source
from backend.exchange.masks.formats import NAMES, load
from backend.exchange.masks.manifest import Manifest
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.tables import Job
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings


def archive(
    contents: Contents, form: Archive, database: Database, blobs: Blobs, settings: Settings
) -> Iterator[bytes]:
    """Yield the zip of a format that is made at once: the masks, then `manifest.json`."""
    mpp = settings.analysis_mpp
    manifest = Manifest(contents, form.name, mpp)
    source = Source(contents.slide, contents.items(database, blobs, settings), manifest, mpp)

    def entries() -> Iterator[Entry]:
        yield from form.entries(source)
        yield Entry("manifest.json", manifest.pieces())

    return zipped(entries())


def listing(
    contents: Contents, database: Database, blobs: Blobs, settings: Settings
) -> Iterator[bytes]:
    """Yield the manifest alone: what the one that a job builds, which has none, is made of."""
    [form] = (each for each in map(load, NAMES) if isinstance(each, Built))
    manifest = Manifest(contents, form.name, settings.analysis_mpp)
    for item in contents.items(database, blobs, settings):
        manifest.note(item)
    yield from manifest.pieces()


def built_file(contents: Contents, form: Built, settings: Settings) -> Path:
    """Return where the file of these contents lies, once it is made."""
    return settings.pyramid_folder / contents.slide.sha256 / f"{contents.basis}{ending_of(form)}"


def ending_of(form: Built) -> str:
    """Return how the stored files of a format end, by which a slide's older ones are found."""
    return f".masks.{form.ending}"


def request(
    session: Session, settings: Settings, contents: Contents, form: Built, *, requested_by: str
) -> Job:
    """Ask for the file of these contents; raise what the format asks of a slide."""
    form.require(contents.slide)
    return jobs.enqueue(
        session,
        settings,
        JobKind.EXPORT,
        f"{contents.slide.id}:{contents.basis}:{form.name}",
        params={"format": form.name, "proposals": contents.prediction is not None},
        requested_by=requested_by,
    )
