"""Zips damaged anywhere, by any means: a clear refusal or a slide, never an error of ours."""

import random
import zipfile
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import pytest

from backend.kit.errors import MembranaError
from backend.settings import Settings
from backend.slides.reading import archives
from backend.slides.reading.formats import sniff
from tests.backend.test_formats import put, zipped

VARIANTS = 400
INDEX = b"[HIERARCHICAL]\nINDEXFILE = Index.dat\n"
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def packed(method: str) -> bytes:
    members = {
        "a/Überblick.txt": b"x" * 500,
        "a/Index.dat": bytes(range(256)) * 4,
        "a/Slidedat.ini": INDEX,
        "dicom": bytes(128) + b"DICM",
    }
    return zipped(members, compression=METHODS[method])


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Cut a zip, take a piece out of it, or change up to sixteen of its bytes."""
    content = bytearray(whole)
    kind = rng.random()
    if kind < 0.15:
        del content[rng.randrange(len(content)) :]
    elif kind < 0.25:
        at = rng.randrange(len(content))
        del content[at : at + rng.randrange(1, 40)]
    else:
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            content[rng.randrange(len(content))] = rng.choice((0, 255, rng.randrange(256)))
    return b"PK\x03\x04" + bytes(content[4:])


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_zip_is_refused_in_words_or_unpacked(tmp_path: Path, method: str) -> None:
    limits = Settings(data=tmp_path, max_archive_entries=50, free_space_reserve_bytes=0)
    whole, rng = packed(method), random.Random(1)
    ends: Counter[str] = Counter()
    statuses = set()
    for _ in range(VARIANTS):
        path = put(tmp_path, damaged(whole, rng))
        folder = Path(mkdtemp(dir=tmp_path))
        try:
            sniff(path, name="x", settings=limits)
            archives.unpack(path, folder, limits, check=lambda: None)
            ends["unpacked"] += 1
        except MembranaError as refused:
            statuses.add(refused.status)
            ends[refused.problem_code] += 1
    assert statuses == {422}
    assert ends["archive_unreadable"] > VARIANTS / 2
    assert ends["unpacked"] > 0
