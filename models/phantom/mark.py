"""The mark of a synthetic slide: a field of our own, which no laboratory's words can look like."""

import json
from typing import Any

LABEL = "Synthetic HER2 phantom by Membrana: not a patient's tissue"
NAMESPACE = b"urn:membrana:phantom"
SYNTHETIC = b'membrana:synthetic="true"'
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:membrana="' + NAMESPACE + b'" ' + SYNTHETIC + b"/>"
    b"</rdf:RDF></x:xmpmeta>"
)
"""What a phantom carries as XMP, TIFF's tag 700: a property in Membrana's own namespace."""


def is_marked(xmp: bytes, description: str) -> bool:
    """Say whether a file is a phantom of ours.

    Phantoms before the XMP mark have only the JSON that was written for them, with our label.
    """
    if NAMESPACE in xmp and SYNTHETIC in xmp:
        return True
    try:
        note: Any = json.loads(description)
    except (ValueError, RecursionError):
        return False
    return isinstance(note, dict) and note.get("label") == LABEL and note.get("synthetic") is True
