"""What lies on the disk for a slide: taken away with its row, or later if a process died."""

import re
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.kit.db.locks import alone
from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.kit.storage.sweeping import is_older
from backend.settings import Settings
from backend.slides.catalogue.tables import Slide

OF_A_SLIDE = re.compile(r"([0-9a-f]{64})(\.\d+)?(\.tif)?")
CONVERSION = 2
"""Counted up when the same file would be converted to other pixels: what was made before stays
with the slides that were read so. 2: upright, the largest picture, without a channel of zeros."""


def pyramid_key(sha256: str) -> str:
    """Return the name of a file's pyramid in the slide folder, as it is made today."""
    return f"{sha256}.{CONVERSION}.tif"


def set_aside(session: Session, sha256: str, settings: Settings) -> list[Path]:
    """Take the files of a slide that has no row out of everybody's way; return what to delete.

    The lock keeps an upload of the same file from making its row in between (uploads/service.py).
    """
    alone(session, sha256)
    if session.scalar(select(Slide.id).where(Slide.sha256 == sha256)) is not None:
        return []
    gone = []
    for path in (
        *settings.slide_folder.glob(f"{sha256}*"),
        settings.pyramid_folder / sha256,
    ):
        if path.exists():
            folder = Path(mkdtemp(dir=path.parent, prefix=".gone-"))
            path.rename(folder / path.name)
            gone.append(folder)
    Blobs(settings.blob_folder).delete(sha256)
    return gone


def unknown(database: Database, settings: Settings, before: datetime) -> list[str]:
    """Return whose derived files are older than a moment and belong to no slide that is known."""
    hashes = {
        match[1]
        for folder in (settings.slide_folder, settings.pyramid_folder)
        for path in folder.glob("[!.]*")
        if (match := OF_A_SLIDE.fullmatch(path.name)) and is_older(path, before)
    }
    if not hashes:
        return []
    with database.reading() as session:
        return sorted(hashes - set(session.scalars(select(Slide.sha256))))
