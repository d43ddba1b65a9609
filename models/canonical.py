"""JSON with one spelling, for what is known by its hash: equal values are equal bytes."""

import json
from typing import Any


def canonical(document: Any) -> bytes:
    """Return a document as JSON without spaces, its names in order, all in ASCII.

    The bytes are for good, as hashes and signatures hang on them. Raise ValueError for NaN and
    infinity, which are no JSON.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()
