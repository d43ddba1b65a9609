"""The words of tus 1.0.0 (tus.io/protocols/resumable-upload): headers read and written."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Protocol

from fastapi import Request, Response
from fastapi.routing import APIRoute

from backend.kit.errors import (
    BadRequest,
    Conflict,
    Gone,
    MembranaError,
    PreconditionFailed,
    TooLarge,
    UnsupportedMedia,
)

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
ALGORITHMS = ("sha1", "sha256", "md5")
BODY_TYPE = "application/offset+octet-stream"
ASKED = (
    (
        "Upload-Concat",
        "concatenation",
        "send the file as one upload, in as many pieces as you like, without parallel uploads.",
    ),
    (
        "Upload-Defer-Length",
        "creation-defer-length",
        "say with Upload-Length how many bytes the file has.",
    ),
)
"""Headers of extensions that change what a creation means."""
MOST_METADATA = 8192
MOST_VALUE = 255


class VersionUnknown(PreconditionFailed):
    code, title = "tus_version", "This version of tus is not spoken here"


class ExtensionUnknown(BadRequest):
    code, title = "tus_extension", "This extension of tus is not spoken here"


class OffsetConflict(Conflict):
    code, title = "upload_offset", "The upload stands elsewhere"


class UploadLocked(MembranaError):
    status, code, title = 423, "upload_locked", "Another request writes this upload"


class ChecksumMismatch(MembranaError):
    status, code, title = 460, "checksum_mismatch", "The bytes changed on their way"


class UploadGone(Gone):
    code, title = "upload_gone", "This upload is over"


class UploadTooLarge(TooLarge):
    code = "upload_too_large"


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class TusRoute(APIRoute):
    """Every answer names the protocol's version, an error too; every request must have."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                if request.method in {"POST", "HEAD", "PATCH", "DELETE"}:
                    check_version(request.headers)
                response = await handle(request)
            except MembranaError as error:
                error.headers.setdefault("Tus-Resumable", VERSION)
                raise
            response.headers["Tus-Resumable"] = VERSION
            return response

        return answer


def check_version(headers: Mapping[str, str]) -> None:
    if headers.get("tus-resumable") != VERSION:
        raise VersionUnknown(
            f"Send the header Tus-Resumable: {VERSION}.", headers={"Tus-Version": VERSION}
        )


def check_extensions(headers: Mapping[str, str]) -> None:
    """Refuse what asks for more of tus than is spoken here, before anything is made of it.

    A part of a file that is to be joined later would otherwise be taken for the whole.
    """
    for header, extension, instead in ASKED:
        if header in headers:
            raise ExtensionUnknown(
                f"The tus extension {extension} ({header}) is not spoken here: {instead}"
            )


def whole_number(headers: Mapping[str, str], name: str) -> int:
    """Read a header that must be a whole number ≥ 0."""
    text = headers.get(name, "")
    # fifteen digits are a thousand terabytes, and always fit the database's integers
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadRequest(f"The header {name} must be a whole number.", code="tus_header")
    return int(text)


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Read Upload-Metadata: comma-separated pairs of a key and a base64 value."""
    text = headers.get("upload-metadata", "")
    if len(text) > MOST_METADATA:
        raise BadRequest("The header Upload-Metadata is too long.", code="tus_header")
    values: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise BadRequest(
                "The header Upload-Metadata must hold keys with base64 values.", code="tus_header"
            ) from None
    return values


def plain_name(text: str) -> str:
    """Return a file name fit to be shown: no folders, no control characters, not too long."""
    last = text.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(letter for letter in last if letter.isprintable()).strip()
    return shown[-MOST_VALUE:] or "unnamed"


def checksum(headers: Mapping[str, str]) -> tuple[Hash, bytes] | None:
    """Read Upload-Checksum: a fresh hash and what it must come to, or None if not asked."""
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, value = text.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequest(
            f"The checksums known are {', '.join(ALGORITHMS)}.", code="checksum_algorithm"
        )
    try:
        expected = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise BadRequest("The checksum must be base64.", code="tus_header") from None
    return hashlib.new(algorithm, usedforsecurity=False), expected


def check_body_type(headers: Mapping[str, str]) -> None:
    if headers.get("content-type", "").partition(";")[0].strip() != BODY_TYPE:
        raise UnsupportedMedia(f"Send the bytes as Content-Type: {BODY_TYPE}.")


def expires(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
