"""Masks that are broken, wrong or made to harm: refused with a word, nothing left of them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.conftest import Service
from tests.support.ready import code, patches_of, png, put, ready_slide
from tests.support.turned import exif, stored


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int = 256, height: int = 256, bits: int = 8, colour: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


SIGNATURE = b"\x89PNG\r\n\x1a\n"
ROWS = zlib.compress((b"\0" + b"\0" * 256) * 256)
END = chunk(b"IEND", b"")
GOOD = png(np.zeros((256, 256), np.uint8))
HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "mask_not_png"),
    "text": (b"<svg onload=alert(1)>" * 20, 422, "mask_not_png"),
    "jpeg": (b"\xff\xd8\xff\xe0" + b"\0" * 400, 422, "mask_not_png"),
    "signature only": (SIGNATURE, 422, "mask_not_png"),
    "no header": (SIGNATURE + chunk(b"IDAT", ROWS) + END, 422, "mask_not_png"),
    "cut off": (GOOD[:-30], 422, "mask_not_png"),
    "no pixels": (SIGNATURE + header() + END, 422, "mask_not_png"),
    "broken stream": (SIGNATURE + header() + chunk(b"IDAT", b"x" * 90) + END, 422, "mask_not_png"),
    "wrong checksum": (GOOD[:29] + b"\0\0\0\0" + GOOD[33:], 422, "mask_not_png"),
    "second header": (
        SIGNATURE + header() + header(20_000, 20_000) + chunk(b"IDAT", ROWS) + END,
        422,
        "mask_not_png",
    ),
    "second header, colour": (
        SIGNATURE + header() + header(colour=2) + chunk(b"IDAT", ROWS) + END,
        422,
        "mask_not_png",
    ),
    "a bomb": (
        SIGNATURE + header(65_535, 65_535) + chunk(b"IDAT", ROWS) + END,
        422,
        "mask_wrong_size",
    ),
    "too small": (png(np.zeros((255, 256), np.uint8)), 422, "mask_wrong_size"),
    "colour": (png(np.zeros((256, 256, 3), np.uint8)), 422, "mask_wrong_depth"),
    "with alpha": (png(np.zeros((256, 256, 4), np.uint8)), 422, "mask_wrong_depth"),
    "16 bits": (png(np.zeros((256, 256), np.uint16)), 422, "mask_wrong_depth"),
    "1 bit": (SIGNATURE + header(bits=1) + chunk(b"IDAT", ROWS) + END, 422, "mask_wrong_depth"),
    "a palette": (SIGNATURE + header(colour=3) + END, 422, "mask_wrong_depth"),
    "other values": (png(np.full((256, 256), 254, np.uint8)), 422, "mask_wrong_values"),
    "class ids": (png(np.ones((256, 256), np.uint8)), 422, "mask_wrong_values"),
    "too large": (GOOD + b"\0" * 2**20, 413, "mask_too_large"),
}


def test_hostile_masks_are_refused_and_leave_nothing(service: Service) -> None:
    patch_id = patches_of(service.client, ready_slide(service))[0]["id"]
    before = len(list(service.blobs))
    for name, (content, status, word) in HOSTILE.items():
        answer = put(service.client, patch_id, content)
        assert code(answer) == (status, word), name
        assert len(answer.json()["detail"]) > 20, name
    listed = service.client.get(f"/patches/{patch_id}/annotations").json()["items"]
    assert listed == []
    assert len(list(service.blobs)) == before
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 10**6))
    harmless = GOOD[:33] + text + GOOD[33:]
    answer = put(service.client, patch_id, harmless)
    assert answer.status_code in {201, 422}
    if answer.status_code == 201:
        kept = service.blobs.read(answer.json()["annotation"]["mask_sha256"])
        assert b"zTXt" not in kept, "what is kept was encoded by us"


def test_a_mask_that_says_it_is_turned_is_kept_upright(service: Service) -> None:
    patches = patches_of(service.client, ready_slide(service))
    drawn = np.zeros((256, 256), np.uint8)
    drawn[10:40, 20:90] = 255
    rgb = np.dstack([drawn] * 3)
    for orientation, patch in ((1, patches[0]), (6, patches[1])):
        content = png(stored(rgb, orientation)[..., 0], exif=exif(orientation))
        answer = put(service.client, patch["id"], content)
        assert answer.status_code == 201, answer.text
        kept = service.blobs.read(answer.json()["annotation"]["mask_sha256"])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(kept))), drawn)
    damaged = chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")
    answer = put(service.client, patches[2]["id"], GOOD[:33] + damaged + GOOD[33:])
    assert answer.status_code in {201, 422}
