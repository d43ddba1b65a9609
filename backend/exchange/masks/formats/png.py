"""Masks as PNG files: people's in `masks`, a model's in `proposals`, so that nobody mixes them."""

from collections.abc import Iterator

from backend.exchange.masks.archive import Entry
from backend.exchange.masks.format import Archive, Source


def entries(source: Source) -> Iterator[Entry]:
    for item in source.items:
        file = f"{'masks' if item.by_person else 'proposals'}/{item.name}.png"
        source.manifest.note(item, file=file)
        yield Entry(file, [item.png()], packed=False)


FORMAT = Archive("png", entries)
