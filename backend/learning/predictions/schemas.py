"""What a prediction is asked for with. Boxes are level-0 px."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from backend.kit.geometry import Region0

Place = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BoxIn(BaseModel, extra="forbid"):
    x: Place
    y: Place
    width: Side
    height: Side

    def region(self) -> Region0:
        return Region0(self.x, self.y, self.width, self.height)


class PredictionIn(BaseModel, extra="forbid"):
    """A model version and a box; without a box the whole slide, without a version the active.

    A box is given as `box`, or by its four members beside the version.
    """

    model_version: str | None = None
    box: BoxIn | None = None
    x: Place | None = None
    y: Place | None = None
    width: Side | None = None
    height: Side | None = None

    @model_validator(mode="after")
    def one_whole_box(self) -> Self:
        sides = {"x": self.x, "y": self.y, "width": self.width, "height": self.height}
        given = {name: side for name, side in sides.items() if side is not None}
        if given and self.box is not None:
            raise ValueError("Give the box once: as `box`, or as x, y, width and height.")
        if given and len(given) < len(sides):
            raise ValueError("A box needs x, y, width and height.")
        if given:
            self.box = BoxIn(**given)
        return self

    def region(self) -> Region0 | None:
        return self.box.region() if self.box else None
