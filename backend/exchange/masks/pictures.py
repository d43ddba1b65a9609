"""Masks as PNG files: people's in `masks`, a model's in `proposals`, so that nobody mixes them."""

from collections.abc import Iterator

from backend.exchange.masks.archive import Entry
from backend.exchange.masks.contents import Item
from backend.exchange.masks.manifest import Manifest


def entries(items: Iterator[Item], manifest: Manifest) -> Iterator[Entry]:
    for item in items:
        file = f"{'masks' if item.by_person else 'proposals'}/{item.name}.png"
        manifest.note(item, file=file)
        yield Entry(file, [item.png()], packed=False)
