"""What a downloaded file is called: after case, block and slide, never after an id.

The names go into the header that authorised people read, and into no log. A header's plain
`filename` is ASCII; the name in full stands beside it as RFC 5987 has it.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

LONGEST = 60
"""Letters of one part of a name."""
SUFFIX = re.compile(r"(\.ome)?\.[A-Za-z][A-Za-z0-9]{1,5}$")
"""A slide file's ending: what is made from it has its own."""
NOT_IN_NAMES = re.compile(
    r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|%\u200b-\u200f\u2028-\u202e\u2066-\u2069]+'
)
"""What file systems, shells or eyes take for something else: separators, wildcards, marks that
turn the reading order round."""


def file_name(slide: Mapping[str, Any], what: str, ending: str) -> str:
    """Return `24-H-1187_A3_slide_what.ending`; slide: its name, case_id and block, if known."""
    stem = SUFFIX.sub("", str(slide.get("name") or ""))
    parts = [slide.get("case_id"), slide.get("block"), stem]
    named = [cleaned(str(part)) for part in parts if part]
    return "_".join([*dict.fromkeys(filter(None, named)), what]) + f".{ending}"


def cleaned(part: str) -> str:
    """Return a part of a name as every file system takes it; empty if nothing is left of it."""
    plain = NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", part))
    return re.sub(r"[\s_-]+", "-", plain)[:LONGEST].strip(" .-")


def disposition(name: str, *, inline: bool = False) -> str:
    """Return a Content-Disposition that names a file."""
    kind = "inline" if inline else "attachment"
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    ascii_name = re.sub(r'["\\]', "-", letters)
    if ascii_name == name:
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
