"""What an import tells of itself."""

from pydantic import BaseModel

from backend.exchange.masks.imports import Imported, Outcome, PatchOutcome, counted
from backend.learning.annotations.schemas import Author


class PatchImported(BaseModel):
    """What became of one patch; `code` and `detail` say why nothing was written.

    taken_from: who else had it in hand; they have been told.
    """

    patch_id: str
    row: int
    column: int
    outcome: Outcome
    revision: int
    code: str | None
    detail: str | None
    taken_from: Author | None

    @classmethod
    def of(cls, outcome: PatchOutcome) -> "PatchImported":
        problem = outcome.problem or {}
        return cls(
            patch_id=outcome.patch.id,
            row=outcome.patch.row,
            column=outcome.patch.column,
            outcome=outcome.outcome,
            revision=outcome.revision,
            code=problem.get("code"),
            detail=problem.get("detail"),
            taken_from=outcome.taken_from and Author.of(outcome.taken_from),
        )


class ImportOut(BaseModel):
    """Patch by patch what was written; features on no patch, and of other classes, were left."""

    items: list[PatchImported]
    written: int
    unchanged: int
    conflict: int
    refused: int
    features_on_no_patch: int
    features_of_other_classes: dict[str, int]

    @classmethod
    def of(cls, imported: Imported) -> "ImportOut":
        return cls(
            items=[PatchImported.of(each) for each in imported.patches],
            features_on_no_patch=imported.elsewhere,
            features_of_other_classes=dict(imported.others),
            **{str(outcome): number for outcome, number in counted(imported.patches)},
        )
