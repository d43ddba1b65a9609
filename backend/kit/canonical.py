"""JSON with one spelling, for what is known by its hash: equal values are equal bytes."""

import json
from typing import Any


def canonical(value: Any, *, ensure_ascii: bool = True) -> bytes:
    """Return a value as JSON without spaces, its names in order.

    ensure_ascii: letters beyond ASCII as escapes; either way the bytes are for good, as hashes and
    signatures hang on them.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ensure_ascii)
    return text.encode()
