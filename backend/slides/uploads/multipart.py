"""One file and a few words in a multipart body, streamed to disk as they come.

The framework's own form parsing would take the whole body first, whatever its size, into the
system's temporary folder.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from backend.kit.errors import BadRequest, UnsupportedMedia
from backend.slides.uploads.receiving import pieces
from backend.slides.uploads.tus import UploadTooLarge, plain_name

FILE_FIELD = "file"
MOST_PARTS = 16
MOST_HEADER_BYTES = 4096
MOST_VALUE_BYTES = 1024
ROOM_BYTES = 16 << 20
"""After so many bytes of a file the disk's free space is looked at again."""


class MalformedForm(BadRequest):
    code = "malformed_form"


@dataclass
class Part:
    """The part being read; a word's bytes are kept, a file's go on."""

    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    header_bytes: int = 0
    name: str = ""
    filename: str | None = None
    value: bytearray = field(default_factory=bytearray)


class FileForm:
    """Collects the words of a form and passes its one file on to a sink."""

    def __init__(self, sink: BinaryIO, most_bytes: int, check_room: Callable[[int], None]) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.ended = False
        self._sink = sink
        self._most = most_bytes
        self._check_room = check_room
        self._room = 0
        self._parts = 0
        self._part = Part()

    def callbacks(self) -> dict[str, Callable[..., Any]]:
        return {
            "on_part_begin": self.part_begin,
            "on_header_field": self.header_field,
            "on_header_value": self.header_value,
            "on_header_end": self.header_end,
            "on_headers_finished": self.headers_finished,
            "on_part_data": self.part_data,
            "on_part_end": self.part_end,
            "on_end": self.end,
        }

    def part_begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise MalformedForm(f"The form has more than {MOST_PARTS} parts.")
        self._part = Part()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._part.header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._part.header_value += data[start:end]

    def _count(self, number: int) -> None:
        self._part.header_bytes += number
        if self._part.header_bytes > MOST_HEADER_BYTES:
            raise MalformedForm("A part of the form has headers that are too long.")

    def header_end(self) -> None:
        part = self._part
        if part.header_name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(part.header_value))
            part.name = options.get(b"name", b"").decode(errors="replace")
            if b"filename" in options:
                part.filename = options[b"filename"].decode(errors="replace")
        part.header_name.clear()
        part.header_value.clear()

    def headers_finished(self) -> None:
        if self._part.name != FILE_FIELD:
            return
        if self.filename is not None:
            raise MalformedForm("Send one file in one request.")
        self.filename = plain_name(self._part.filename or "")

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE_FIELD:
            self.size += end - start
            if self.size > self._most:
                raise UploadTooLarge(f"This installation takes files up to {self._most} bytes.")
            if self.size > self._room:
                self._check_room(max(ROOM_BYTES, end - start))
                self._room = self.size + ROOM_BYTES
            self._sink.write(memoryview(data)[start:end])
            self.sha256.update(memoryview(data)[start:end])
            return
        self._part.value += data[start:end]
        if len(self._part.value) > MOST_VALUE_BYTES:
            raise MalformedForm("A field of the form is too long.")

    def part_end(self) -> None:
        if self._part.name != FILE_FIELD:
            self.fields[self._part.name] = self._part.value.decode(errors="replace").strip()

    def end(self) -> None:
        self.ended = True


async def receive_form(
    request: Request, sink: BinaryIO, most_bytes: int, check_room: Callable[[int], None]
) -> FileForm:
    """Stream a form's file into `sink` and return its words; raise what is wrong with it.

    `check_room` is asked now and then for room for so many bytes, and raises if there is none:
    nobody has to say beforehand how long a form is.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        raise UnsupportedMedia("Send the slide as multipart/form-data with a part named file.")
    form = FileForm(sink, most_bytes, check_room)
    parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
    try:
        async for piece in pieces(request):
            await run_in_threadpool(parser.write, piece)
        parser.finalize()
    except FormParserError as error:
        raise MalformedForm(f"The form can't be read: {error}.") from error
    if not form.ended:
        raise MalformedForm("The form ended before its last boundary: the upload broke off.")
    if form.filename is None:
        raise MalformedForm("The form has no part named file.")
    return form
