"""One delivery over HTTP: signed as Standard Webhooks has it, to a checked address, bounded.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

import httpx

from backend.exchange.webhooks import addresses
from backend.exchange.webhooks.secret_box import PREFIX
from backend.settings import Settings

SECONDS, SECONDS_IN_ALL = 10.0, 20.0
GONE = 410
TOO_MANY, ILL = 429, 500


@dataclass(frozen=True)
class Outcome:
    """status: of the answer, None if there was none. problem: None if it was taken.

    final: trying again is no use.
    """

    status: int | None
    problem: str | None
    final: bool = False

    @property
    def is_ill(self) -> bool:
        """Say whether another delivery would fare no better now."""
        return self.status is None or self.status == TOO_MANY or self.status >= ILL


def body_of(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a delivery.

    `webhook-signature`: v1 and the HMAC-SHA256 of "id.timestamp.body" in base64, by the secret's
    bytes. `x-membrana-signature-256`: the same hash of the body alone in hex, by the secret as it
    is written, for receivers that check no more than that.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), body))
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    plain = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "user-agent": "Membrana-Webhook",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
        "x-membrana-signature-256": f"sha256={plain}",
    }


def send(url: str, headers: dict[str, str], body: bytes, settings: Settings) -> Outcome:
    """Post a body once; whatever happens is an outcome.

    The name is resolved here and the connection goes to that very address, so that a name which
    means another address a moment later leads nowhere. No redirect is followed, no proxy of the
    environment used, and nothing is read of the answer but its status.
    """
    try:
        parts = addresses.parse(url, settings)
        address = addresses.resolved(parts, settings)
    except addresses.UrlRefused as refused:
        return Outcome(None, refused.detail)
    except (OSError, UnicodeError):
        return Outcome(None, "The host's name leads nowhere.")
    client = httpx.Client(trust_env=False, follow_redirects=False, timeout=SECONDS)
    # a receiver that sends a byte now and then would hold the worker for as long as it likes
    end = threading.Timer(SECONDS_IN_ALL, client.close)
    end.start()
    try:
        with client.stream(
            "POST",
            at_address(parts, str(address)),
            content=body,
            headers={**headers, "host": parts.netloc},
            extensions={"sni_hostname": parts.hostname},
        ) as answer:
            return outcome_of(answer.status_code)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError) as error:
        return Outcome(None, f"The receiver could not be reached ({type(error).__name__}).")
    finally:
        end.cancel()
        client.close()


def at_address(parts: SplitResult, address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()


def outcome_of(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome(status, None)
    if status == GONE:
        return Outcome(status, "The receiver says that it is gone for good (410).", final=True)
    if 300 <= status < 400:
        return Outcome(status, f"The receiver sent elsewhere ({status}), which is not followed.")
    return Outcome(status, f"The receiver answered {status}.")
