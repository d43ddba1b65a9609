"""Annotations as the contract shows them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from backend.learning.annotations.tables import Annotation, Source
from backend.learning.patch_views.schemas import PatchOut
from backend.people.users.tables import User
from backend.slides.patches.service import Holder


class Author(BaseModel):
    # a person's row says `name`
    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    id: str
    username: str = Field(validation_alias="name")

    @classmethod
    def of(cls, user: User | Holder) -> "Author":
        return cls(id=user.id, username=user.name)


class AnnotationOut(BaseModel):
    id: str
    patch_id: str
    revision: int
    base_revision: int
    author: Author
    source: Source
    seconds_spent: float | None
    unseen_px: int
    mask_sha256: str
    model_version_id: str | None
    restores: int | None
    created_at: datetime

    @classmethod
    def of(cls, annotation: Annotation) -> "AnnotationOut":
        return cls(
            id=annotation.id,
            patch_id=annotation.patch_id,
            revision=annotation.revision,
            base_revision=annotation.base_revision,
            author=Author.of(annotation.author),
            source=annotation.source,
            seconds_spent=annotation.seconds_spent,
            unseen_px=annotation.unseen_px,
            mask_sha256=annotation.mask_sha256,
            model_version_id=annotation.model_version_id,
            restores=annotation.restores,
            created_at=annotation.created_at,
        )


class Saved(BaseModel):
    """taken_from: who else had the patch in hand; they have been told."""

    patch: PatchOut
    annotation: AnnotationOut
    taken_from: Author | None
