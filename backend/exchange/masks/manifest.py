"""The manifest in every export: where each mask is of, who drew it, from what it follows."""

import json
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

from backend.exchange.masks.contents import Contents, Item
from backend.kit.product import RESEARCH_USE_ONLY
from backend.learning.annotations.newest_masks import NewestMask
from backend.slides.patches.grid import PATCH_PX

SCHEMA = "membrana.masks/1"
IN_MEMORY = 1 << 20
PIECE = 1 << 16


class Manifest:
    """Notes patches as they are written, past a megabyte on the disk.

    Neither the slide's file name nor its case is in it: such names can be a patient's. People are
    named by their ids.
    """

    def __init__(self, contents: Contents, kind: str, analysis_mpp: float) -> None:
        slide, version = contents.slide, contents.version
        self._head: dict[str, Any] = {
            "schema": SCHEMA,
            "research_use_only": RESEARCH_USE_ONLY,
            "format": kind,
            "basis": contents.basis,
            "slide": {
                "id": slide.id,
                "sha256": slide.sha256,
                "width": slide.width,
                "height": slide.height,
                "mpp": slide.mpp,
                "stain": slide.stain,
            },
            "mask": {
                "mpp": analysis_mpp,
                "side": PATCH_PX,
                "values": {"background": 0, "ignore": 127, "membrane": 255},
                "unseen": "of masks that are not complete: pixels nobody has looked at, as ignore",
            },
            "proposals": version
            and {
                "model_version": version.id,
                "name": version.name,
                "kind": str(version.kind),
                "weights_sha256": version.weights_sha256,
                "threshold": version.threshold,
                "prediction_sha256": contents.prediction and contents.prediction.sha256,
                "computed_by": contents.computed_by,
            },
        }
        # written and read by one generator, and gone with it
        self._noted = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the manifest
        self._comma = b""

    def note(self, item: Item, **where: Any) -> None:
        """Note a patch; `where` says where in the export its mask is."""
        line = json.dumps({**row_of(item), **where}, separators=(",", ":"))
        self._noted.write(self._comma + b"\n" + line.encode())
        self._comma = b","

    def pieces(self) -> Iterator[bytes]:
        """Yield the document, once."""
        head = json.dumps(self._head, separators=(",", ":"))
        yield head[:-1].encode() + b',"patches":['
        with self._noted as file:
            file.seek(0)
            while piece := file.read(PIECE):
                yield piece
        yield b"\n]}\n"


def row_of(item: Item) -> dict[str, Any]:
    """Return what is known of a mask: its patch's box in level-0 px, and whose work it is."""
    record = item.record
    box = {"x": record.x0, "y": record.y0, "width": record.size0, "height": record.size0}
    row: dict[str, Any] = {
        "patch_id": record.patch_id,
        "row": record.row,
        "column": record.column,
        "box": box,
        "model_version": record.model_version_id,
    }
    if not isinstance(record, NewestMask):
        return {**row, "drawn_by": "model"}
    return {
        **row,
        "drawn_by": "person",
        "revision": record.revision,
        "author": record.author_id,
        "source": str(record.source),
        "state": str(record.state),
        "mask_sha256": record.mask_sha256,
        "complete": record.complete,
        "unseen_px": record.unseen_px,
        "annotated_at": record.created_at.isoformat(),
    }
