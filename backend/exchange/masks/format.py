"""What a format of masks is: a zip that is made while it is sent, or a file that a job makes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backend.exchange.masks.archive import Entry
from backend.exchange.masks.contents import Item
from backend.exchange.masks.manifest import Manifest
from backend.slides.catalogue.tables import Slide


@dataclass(frozen=True)
class Source:
    """What an archive is written from: each mask is read, written and noted in the manifest."""

    slide: Slide
    items: Iterator[Item]
    manifest: Manifest
    analysis_mpp: float


@dataclass(frozen=True)
class Archive:
    """A format whose files go into a zip, one mask in memory at a time."""

    name: str
    entries: Callable[[Source], Iterator[Entry]]


@dataclass(frozen=True)
class Built:
    """A format whose file must be whole before its head is known: an exporter of the worker's.

    ending: of the file. require: raises where the slide can have no such file.
    """

    name: str
    ending: str
    require: Callable[[Slide], None]


Format = Archive | Built
