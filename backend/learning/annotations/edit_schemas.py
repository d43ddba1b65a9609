"""Edits as the contract shows them. Places are level-0 px."""

import binascii
from base64 import b64decode
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backend.kit.conditional import revision_etag
from backend.learning.annotations import effort, masks
from backend.learning.annotations.edits import MOST_TILES, Edit, TileEdit, WrittenTile
from backend.learning.annotations.masks import DIFF_VALUES, PARTIAL_VALUES, Mask, MaskInvalid
from backend.learning.annotations.schemas import AnnotationOut, Author
from backend.learning.annotations.tables import Source
from backend.slides.patches.tables import PatchState

OTHERWISE = "exactly one of `mask_png_base64` and `diff`"


class TileEditIn(BaseModel):
    """What becomes of a tile: its whole mask, or what changes in it.

    base_revision: the one that it rests on; 0, or null, where nobody has painted yet.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    x: Annotated[float, Field(description="The tile's corner, as its patch has it.")]
    y: float
    base_revision: Annotated[int | None, Field(ge=0, le=1 << 30)]
    mask_png_base64: Annotated[
        str | None,
        Field(
            description="An 8-bit grayscale PNG of 256 × 256: 0 background, 63 unseen, 127 ignore, "
            "255 membrane."
        ),
    ] = None
    diff: Annotated[
        str | None,
        Field(
            description="The same PNG of what changes: 0, 63, 127 and 255 are what a pixel "
            "becomes, 191 leaves it as it is at the base revision; where there is none, as unseen."
        ),
    ] = None

    def edit(self) -> TileEdit:
        """Return what is meant; raise MaskInvalid or MaskTooLarge."""
        if (self.mask_png_base64 is None) == (self.diff is None):
            raise MaskInvalid(
                f"The tile at x {self.x:g}, y {self.y:g} needs {OTHERWISE}.", code="invalid"
            )
        return TileEdit(
            self.x,
            self.y,
            self.base_revision or 0,
            mask=decoded(self.mask_png_base64, PARTIAL_VALUES),
            diff=decoded(self.diff, DIFF_VALUES),
        )


def decoded(text: str | None, values: tuple[int, ...]) -> Mask | None:
    if text is None:
        return None
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise masks.not_png("A mask is a PNG file in base64, without line breaks.") from None
    return masks.decode(content, values)


class EditIn(BaseModel):
    """Tiles that are painted together: all are saved, or none.

    seconds_spent: of active work on all of them. model_version: whose proposal was shown.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    tiles: Annotated[list[TileEditIn], Field(min_length=1, max_length=MOST_TILES)]
    # held to where all ways of saving pass through
    seconds_spent: Annotated[
        float | None,
        Field(json_schema_extra={"minimum": 0, "maximum": effort.MOST.total_seconds()}),
    ] = None
    source: Source = Source.EDITED
    model_version: str | None = None

    def edit(self) -> Edit:
        return Edit(
            [tile.edit() for tile in self.tiles],
            self.source,
            self.seconds_spent,
            self.model_version,
        )


class TileSaved(BaseModel):
    """A tile's new revision; `etag` is what its next change names.

    taken_from: who else had the patch in hand; they have been told.
    """

    x: float
    y: float
    patch_id: str
    revision: int
    etag: str
    state: PatchState
    unseen_px: int
    annotation: AnnotationOut
    taken_from: Author | None

    @classmethod
    def of(cls, tile: WrittenTile) -> "TileSaved":
        annotation, taken_from = tile.written.annotation, tile.written.taken_from
        return cls(
            x=tile.patch.x0,
            y=tile.patch.y0,
            patch_id=tile.patch.id,
            revision=annotation.revision,
            etag=revision_etag(annotation.revision),
            state=tile.patch.state,
            unseen_px=annotation.unseen_px,
            annotation=AnnotationOut.of(annotation),
            taken_from=taken_from and Author.of(taken_from),
        )


class EditSaved(BaseModel):
    """The tiles in the grid's order."""

    tiles: list[TileSaved]
