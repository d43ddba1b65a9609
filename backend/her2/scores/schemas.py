"""The live score and its cells as the contract shows them."""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from backend.her2.classes import CLASSES
from backend.her2.scores.document import Category, CellClass, EnteredIsh, Gap, ScoreDocument
from backend.her2.scores.ish import Ish
from backend.her2.scores.service import Decision
from backend.her2.scores.statements import Statements
from backend.her2.scores.stopping_schemas import StopOut
from backend.her2.scores.tables import CellAction, LiveScore
from backend.kit.contract import FULL, OF_ROW, Failure, Shown
from backend.kit.product import RESEARCH_USE_ONLY
from backend.learning.annotations.schemas import Author

Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class ProtocolName(StrEnum):
    """The shipped protocols: models/her2/protocols."""

    ASCO_CAP_2023_BREAST = "asco_cap_2023_breast"
    HERCEP_GASTRIC_BIOPSY = "hercep_gastric_biopsy"
    HERCEP_GASTRIC_RESECTION = "hercep_gastric_resection"


ISH_WORDS = {
    "method": "Say the method: dual probe or single probe.",
    "result": "Say the result: positive, negative, equivocal or not determined.",
    "read_by": "Say who read it, in at most 200 characters.",
    "group": "A group is a whole number from 1 to 5.",
    "copies": "Copies are a number above 0 and at most 1000, such as 5.2.",
    "ratio": "A ratio is a number above 0 and at most 1000, such as 2.15.",
    "cells": "Nuclei are counted in whole numbers, from 1 to 100000.",
}


class IshIn(BaseModel, extra="forbid"):
    """In situ hybridisation as somebody read it; the service concludes nothing from it."""

    method: Literal["dual probe", "single probe"]
    result: Literal["positive", "negative", "equivocal", "not determined"]
    read_by: Annotated[Words, Field(min_length=1)]
    group: int | None = Field(None, ge=1, le=5, description="ASCO-CAP 2018, of a dual probe.")
    copies: float | None = Field(None, gt=0, le=1000, allow_inf_nan=False)
    ratio: float | None = Field(None, gt=0, le=1000, allow_inf_nan=False)
    cells: int | None = Field(None, ge=1, le=100_000, description="Nuclei counted.")

    @field_validator("*", mode="wrap")
    @classmethod
    def in_words(
        cls, value: Any, check: ValidatorFunctionWrapHandler, field: ValidationInfo
    ) -> Any:
        """Say at a pathologist's field what it takes."""
        try:
            return check(value)
        except ValidationError:
            context = {"said": ISH_WORDS[str(field.field_name)]}
            raise PydanticCustomError("ish", "{said}", context) from None

    def hybridisation(self) -> Ish:
        return Ish(**self.model_dump()).checked()


class Thresholds(BaseModel):
    """log10 optical densities and shares of the membrane: a what-if of the six cuts."""

    t_faint: float = Field(gt=0, le=4)
    t_weak: float = Field(gt=0, le=4)
    t_moderate: float = Field(gt=0, le=4)
    t_intense: float = Field(gt=0, le=4)
    c_any: float = Field(gt=0, le=1)
    c_full: float = Field(gt=0, le=1)


class ScoreIn(BaseModel, extra="forbid"):
    """What is left out stays as it is; null takes a gap policy, thresholds or a result back."""

    protocol: ProtocolName = ProtocolName.ASCO_CAP_2023_BREAST
    gap: Gap | None = None
    thresholds: Thresholds | None = None
    merge_zero_plus: bool = Field(
        default=False, description="Print 0+ as 0; the percentages stay as they are."
    )
    cytoplasm_obscures: bool = Field(
        default=False, description="Cytoplasm hides membranes: a 2+ pattern that cannot be counted."
    )
    ish: IshIn | None = None

    @model_validator(mode="after")
    def gap_is_for_breast(self) -> "ScoreIn":
        is_set = "protocol" in self.model_fields_set
        if self.gap and is_set and self.protocol != ProtocolName.ASCO_CAP_2023_BREAST:
            raise ValueError(f"{self.protocol} leaves no pattern open: it takes no gap policy.")
        return self

    def changes(self, *, begins: bool) -> dict[str, Any]:
        values = self.model_dump(mode="json", exclude_unset=not begins)
        return values | ({"ish": self.ish and self.ish.hybridisation()} if "ish" in values else {})


class ScoreOut(BaseModel):
    model_config = FULL

    slide_id: str
    state: Literal["none", "computing", "current", "failed"]
    job_id: str | None = None
    revision: int = 0
    protocol: str | None = None
    gap: Annotated[str, Shown(Gap)] | None = None
    thresholds: Thresholds | None = None
    score: Annotated[str, Shown(Category)] | None = None
    printed_score: str | None = None
    previous_score: str | None = None
    computed_at: datetime | None = None
    problem: Annotated[dict[str, Any], Shown(Failure)] | None = None
    document: Annotated[dict[str, Any], Shown(ScoreDocument)] | None = None
    stop: StopOut | None = None
    decisions: int = 0
    merge_zero_plus: bool = False
    cytoplasm_obscures: bool = False
    ish: Annotated[dict[str, Any], Shown(EnteredIsh)] | None = None
    research_use_only: str = RESEARCH_USE_ONLY

    @classmethod
    def of(
        cls,
        row: LiveScore,
        document: Annotated[dict[str, Any], Shown(ScoreDocument)] | None,
        places: dict[tuple[int, int], str],
        decisions: int,
        statements: Statements,
    ) -> "ScoreOut":
        """Show a score; places: the ids of the patches that its rule to stop waits for."""
        return cls(
            slide_id=row.slide_id,
            state=row.state.value,
            job_id=row.job_id,
            revision=row.computed,
            protocol=row.protocol,
            gap=row.gap,
            thresholds=Thresholds(**row.thresholds) if row.thresholds else None,
            score=row.score,
            printed_score=row.printed_score,
            previous_score=row.previous_score,
            computed_at=row.computed_at,
            problem=row.problem,
            document=document,
            stop=StopOut.of(document["stop"], places) if document and "stop" in document else None,
            decisions=decisions,
            **asdict(statements),
        )


class CellOut(BaseModel):
    """A cell: its class as it counts and as it was measured; `outline` in level-0 px."""

    x: float
    y: float
    label: Annotated[str, Shown(CellClass)]
    measured: Annotated[str, Shown(CellClass)]
    included: bool
    edited: bool
    intensity: float
    completeness: float
    outline: list[tuple[float, float]]

    @classmethod
    def of(
        cls, columns: dict[str, np.ndarray[Any, Any]], number: int, decision: Decision | None
    ) -> "CellOut":
        measured = CLASSES[int(columns["label"][number])]
        return cls(
            x=round(float(columns["x"][number]), 2),
            y=round(float(columns["y"][number]), 2),
            label=(decision.label if decision else None) or measured,
            measured=measured,
            included=decision is None or decision.action != CellAction.EXCLUDE,
            edited=decision is not None,
            intensity=round(float(columns["intensity"][number]), 4),
            completeness=round(float(columns["unshared"][number]), 4),
            outline=[(round(x, 1), round(y, 1)) for x, y in columns["membrane"][number].tolist()],
        )


class CellsOut(BaseModel):
    """The cells of a viewport; `total` may be more than are listed."""

    items: list[CellOut]
    total: int


def require_class(action: CellAction, label: str | None, member: str) -> None:
    """Raise ValueError unless a class is named for the action `class`, and only for that."""
    if (action == CellAction.CLASS) != (label is not None):
        raise ValueError(f"`{member}` goes with the action `class`, and only with that.")
    if label is not None and label not in CLASSES:
        raise ValueError(f"A class is one of {', '.join(CLASSES)}.")


class DecisionIn(BaseModel, extra="forbid"):
    x: float = Field(ge=-1e6, le=1e7, allow_inf_nan=False)
    y: float = Field(ge=-1e6, le=1e7, allow_inf_nan=False)
    action: CellAction
    label: str | None = None

    @model_validator(mode="after")
    def a_class_is_named(self) -> "DecisionIn":
        require_class(self.action, self.label, "label")
        return self


class CellDecisionsIn(BaseModel, extra="forbid"):
    """Decisions on cells, one or many, for one reason."""

    decisions: list[DecisionIn] = Field(min_length=1, max_length=1000)
    reason: Reason

    def as_placed(self) -> list[Decision]:
        return [Decision(each.x, each.y, each.action, each.label) for each in self.decisions]


class CellDecisionOut(BaseModel):
    model_config = OF_ROW

    number: int
    x: float
    y: float
    action: CellAction
    label: str | None
    author: Author
    reason: str
    created_at: datetime
