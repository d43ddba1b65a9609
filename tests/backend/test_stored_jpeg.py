"""Stored JPEG tiles go to browsers as they are, but nothing that is no picture goes with them."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from backend.slides.reading.stored_jpeg import END, NotPlain, plain_jpeg

SIZE = (64, 48)
NAME = b"Erika Mustermann"


def pixels() -> np.ndarray:
    chance = np.random.default_rng(7)
    coarse = chance.integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))


def coded(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_only_the_picture_is_handed_on() -> None:
    exif = Image.Exif()
    exif[0x010E] = NAME.decode()
    exif[0x0112] = 6
    noted = coded(comment=NAME, exif=exif, icc_profile=NAME * 10) + NAME
    assert noted.count(NAME) == 13
    plain = plain_jpeg(noted, b"", SIZE, is_ycbcr=True)
    assert NAME not in plain
    assert plain.endswith(END)
    assert (decoded(plain) == decoded(coded())).all()
    assert not Image.open(io.BytesIO(plain)).getexif()


def test_tables_apart_and_colours_that_are_rgb() -> None:
    """As TIFF keeps them: tables once for all tiles, and the colours in a tag."""
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG", quality=90, streamtype=1)
    tables = buffer.getvalue()
    buffer = io.BytesIO()
    Image.fromarray(pixels()).save(buffer, "JPEG", quality=90, streamtype=2)
    plain = plain_jpeg(buffer.getvalue(), tables, SIZE, is_ycbcr=True)
    assert (decoded(plain) == decoded(coded())).all()
    stored = coded(keep_rgb=True)
    plain = plain_jpeg(stored, b"", SIZE, is_ycbcr=False)
    assert (decoded(plain) == decoded(stored)).all()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff\xd9",
        b"<script>alert(1)</script>",
        coded(progressive=True),
        coded()[:-2],
        coded()[:300],
        coded()[:-2] + coded()[2:],
    ],
    ids=["nothing", "no picture", "a script", "progressive", "no end", "cut", "two pictures"],
)
def test_what_is_no_plain_picture_is_not_handed_on(data: bytes) -> None:
    with pytest.raises(NotPlain):
        plain_jpeg(data, b"", SIZE, is_ycbcr=True)


def test_another_size_or_grey_is_not_handed_on() -> None:
    with pytest.raises(NotPlain):
        plain_jpeg(coded(), b"", SIZE[::-1], is_ycbcr=True)
    buffer = io.BytesIO()
    Image.fromarray(pixels()[..., 0]).save(buffer, "JPEG")
    with pytest.raises(NotPlain):
        plain_jpeg(buffer.getvalue(), b"", SIZE, is_ycbcr=True)


def test_hostile_bytes_are_refused_or_lose_their_notes() -> None:
    """Whatever is flipped, cut or put in: an answer is a picture of the size that it must have."""
    whole = bytearray(coded(comment=NAME))
    chance = random.Random(3)
    handed_on = 0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 20)]
                case _:
                    data[at:at] = chance.choice([b"\xff", b"\xff\xfe\0\x12", whole[:200], NAME])
        try:
            plain = plain_jpeg(
                bytes(data), bytes(whole[: chance.randrange(3)]), SIZE, is_ycbcr=True
            )
        except NotPlain:
            continue
        handed_on += 1
        assert b"\xff\xfe" not in plain
        assert plain.startswith(b"\xff\xd8\xff\xee")
        assert Image.open(io.BytesIO(plain)).size == SIZE
    assert handed_on > 100
