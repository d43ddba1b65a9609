"""What a prediction is asked for with. Boxes are level-0 px."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from backend.slides.geometry import Region0


class PredictionIn(BaseModel):
    """A model version and a box; without a box the whole slide, without a version the active."""

    model_version: str | None = None
    x: float | None = Field(None, allow_inf_nan=False)
    y: float | None = Field(None, allow_inf_nan=False)
    width: float | None = Field(None, gt=0, allow_inf_nan=False)
    height: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def whole_box(self) -> Self:
        given = [side is not None for side in (self.x, self.y, self.width, self.height)]
        if any(given) and not all(given):
            msg = "A box needs x, y, width and height."
            raise ValueError(msg)
        return self

    def box(self) -> Region0 | None:
        if self.x is None or self.y is None or self.width is None or self.height is None:
            return None
        return Region0(self.x, self.y, self.width, self.height)
