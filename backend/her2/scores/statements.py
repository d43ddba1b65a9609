"""What a person says of a slide's staining beside its cells: with the live score, as a blob.

A report that is asked for later takes over what it is not told otherwise.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.her2.scores.tables import LiveScore
from backend.kit.storage.blobs import Blobs

FILE = "statements"
"""Name of the blob among LiveScore.files."""


@dataclass(frozen=True)
class Statements:
    """merge_zero_plus: print 0+ as 0. cytoplasm_obscures: a 2+ pattern that can't be counted.

    ish: in situ hybridisation with who entered it (backend.her2.scores.ish), nothing
    concluded from it.
    """

    merge_zero_plus: bool = False
    cytoplasm_obscures: bool = False
    ish: dict[str, Any] | None = None

    @classmethod
    def of(cls, blobs: Blobs, row: LiveScore) -> "Statements":
        """Read what was said, nothing if nothing was."""
        return cls(**json.loads(blobs.read(row.files[FILE]))) if FILE in row.files else cls()

    @classmethod
    def of_slide(cls, session: Session, blobs: Blobs, slide_id: str) -> "Statements":
        row = session.scalar(select(LiveScore).where(LiveScore.slide_id == slide_id))
        return cls.of(blobs, row) if row else cls()

    def content(self) -> bytes:
        """Return what is stored."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @property
    def assay(self) -> dict[str, Any]:
        """What of it a report's assay says."""
        return {"cytoplasm_obscures": True} if self.cytoplasm_obscures else {}
