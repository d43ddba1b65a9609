"""Bodies as MONAI Label's client writes them: forms with files in, forms with files out."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from backend.kit.errors import TooLarge, Unprocessable
from backend.learning.annotations import masks

MOST_BYTES = masks.MAX_BYTES + 2**16


class FormInvalid(Unprocessable):
    code = "monai_form_invalid"


@dataclass(frozen=True)
class Form:
    """params: the JSON of the field of this name. files: contents by field name."""

    params: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


async def form_of(request: Request) -> Form:
    """Read a form, and no more of it than a mask may have. Raise FormInvalid, TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge(f"A form here may have {MOST_BYTES} bytes.", code="mask_too_large")

    async def whole() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    try:
        form = await Request(request.scope, whole).form(max_files=2, max_fields=10)
    except (HTTPException, MultiPartException, ValueError, KeyError):
        raise FormInvalid("The body is no form (multipart/form-data) that can be read.") from None
    files, params = {}, {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        elif name == "params":
            params = object_of(value)
    await form.close()
    return Form(params, files)


FormBody = Annotated[Form, Depends(form_of)]


def object_of(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "\\u0000" in text:
        raise FormInvalid("`params` must be a JSON object.")
    return value


def multipart(params: Mapping[str, Any], name: str, png: bytes) -> tuple[bytes, str]:
    """Return a form of a JSON field `params` and a PNG `image`, and its content type."""
    boundary = secrets.token_hex(16)
    parts = (
        b'Content-Disposition: form-data; name="params"\r\nContent-Type: application/json\r\n\r\n'
        + json.dumps(params).encode(),
        f'Content-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + png,
    )
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
