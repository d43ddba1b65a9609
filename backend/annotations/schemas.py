"""Annotations as the contract shows them."""

from datetime import datetime

from pydantic import BaseModel

from backend.annotations.tables import Annotation, Source
from backend.patches.schemas import PatchOut


class Author(BaseModel):
    id: str
    username: str


class AnnotationOut(BaseModel):
    id: str
    patch_id: str
    revision: int
    base_revision: int
    author: Author
    source: Source
    seconds_spent: float | None
    mask_sha256: str
    model_version_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, annotation: Annotation) -> "AnnotationOut":
        return cls(
            id=annotation.id,
            patch_id=annotation.patch_id,
            revision=annotation.revision,
            base_revision=annotation.base_revision,
            author=Author(id=annotation.author.id, username=annotation.author.name),
            source=annotation.source,
            seconds_spent=annotation.seconds_spent,
            mask_sha256=annotation.mask_sha256,
            model_version_id=annotation.model_version_id,
            created_at=annotation.created_at,
        )


class Saved(BaseModel):
    patch: PatchOut
    annotation: AnnotationOut
