"""Studies as the contract shows them."""

from datetime import datetime
from typing import Annotated

from pydantic import Base64Bytes, BaseModel, Field, StringConstraints, model_validator

from backend.kit.contract import OF_ROW
from backend.learning.studies.agreement import Counts
from backend.learning.studies.service import StudyView
from backend.learning.studies.tables import StudyState

MOST_PATCHES, MOST_READERS = 200, 4
Id = Annotated[str, StringConstraints(max_length=36)]


class StudyIn(BaseModel, extra="forbid"):
    """readers: ids of the people who read; patch_ids: of predicted patches without a mask."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    readers: Annotated[set[Id], Field(min_length=2, max_length=MOST_READERS)]
    patch_ids: Annotated[set[Id], Field(min_length=1, max_length=MOST_PATCHES)]


class StudySummary(BaseModel):
    model_config = OF_ROW

    id: str
    name: str
    state: StudyState
    made_by: str
    created_at: datetime
    closed_at: datetime | None


class StudyReaderOut(BaseModel):
    id: str
    username: str


class StudyPatchOut(BaseModel):
    """readings: the newest revision by reader's id; only one's own while the study is open."""

    patch_id: str
    readings: dict[str, int]


class StudyOut(StudySummary):
    readers: list[StudyReaderOut]
    patches: list[StudyPatchOut]

    @classmethod
    def shown(cls, view: StudyView) -> "StudyOut":
        summary = StudySummary.model_validate(view.study).model_dump()
        return cls(
            **summary,
            readers=[StudyReaderOut(id=each, username=name) for each, name in view.readers.items()],
            patches=[
                StudyPatchOut(
                    patch_id=patch_id,
                    readings={
                        reader: revision
                        for (patch, reader), revision in view.readings.items()
                        if patch == patch_id
                    },
                )
                for patch_id in view.patch_ids
            ],
        )


class ReadingOut(BaseModel):
    model_config = OF_ROW

    id: str
    patch_id: str
    reader_id: str
    revision: int
    mask_sha256: str
    seconds_spent: float | None
    created_at: datetime


class PairAgreement(BaseModel):
    """Of two readers, over pixels that both have judged. Null: nothing to agree on."""

    readers: tuple[str, str]
    patches: int
    pixels: int
    differing_px: int
    dice: float | None
    kappa: float | None

    @classmethod
    def of(cls, readers: tuple[str, str], counts: Counts, patches: int) -> "PairAgreement":
        return cls(
            readers=readers,
            patches=patches,
            pixels=counts.pixels,
            differing_px=counts.first + counts.second,
            dice=counts.dice,
            kappa=counts.kappa,
        )


class PatchAgreement(BaseModel):
    """disagreement: the address of its map (255: readers differ)."""

    patch_id: str
    pairs: list[PairAgreement]
    disagreement: str


class AgreementOut(BaseModel):
    """patches: those that differ most first."""

    pairs: list[PairAgreement]
    patches: list[PatchAgreement]


class AdjudicationIn(BaseModel, extra="forbid"):
    """Either a reader, whose mask is taken, or another mask (PNG in base64)."""

    study_id: Id
    reader_id: Id | None = None
    mask_png_base64: Base64Bytes | None = None
    comment: str = Field("", max_length=4000)

    @model_validator(mode="after")
    def one_of_both(self) -> "AdjudicationIn":
        if (self.reader_id is None) == (self.mask_png_base64 is None):
            msg = "Name a reader, or send a mask: one of the two."
            raise ValueError(msg)
        return self


class AdjudicationOut(BaseModel):
    """revision: the patch's newest, which the decision, or its undoing, has written."""

    id: str
    study_id: str
    patch_id: str
    reader_id: str | None
    comment: str
    made_by: str
    created_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    revision: int
