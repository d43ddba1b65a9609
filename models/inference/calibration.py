"""What eight bits are read from: the ranges of a network's tensors, frozen with its weights.

Taken once, from named patches, and written down: the same weights with the same ranges make the
same masks, whatever is predicted in between.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from models.canonical import canonical

Precision = Literal["f32", "mixed", "int8"]
Range = tuple[str, int, float, float]
"""A tensor's node and port, and its least and greatest value."""


@dataclass(frozen=True)
class Calibration:
    """The range of every tensor that a convolution reads: of which weights, from which patches.

    patches_sha256: of each patch's pixels, in their order. openvino: whose graph the names are of.
    """

    weights_sha256: str
    patches_sha256: tuple[str, ...]
    openvino: str
    ranges: tuple[Range, ...]

    def document(self) -> bytes:
        """Return canonical JSON: what is hashed and stored."""
        return canonical(asdict(self))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.document()).hexdigest()

    @classmethod
    def from_document(cls, document: bytes) -> "Calibration":
        """Read what `document` wrote. Raises ValueError for anything else."""
        try:
            content = json.loads(document)
            return cls(
                str(content["weights_sha256"]),
                tuple(map(str, content["patches_sha256"])),
                str(content["openvino"]),
                tuple(
                    (str(name), int(port), float(low), float(high))
                    for name, port, low, high in content["ranges"]
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("These are no ranges of a network.") from error
