"""Annotations: a person's mask becomes the next revision of its patch; a model never writes one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from backend.kit.conditional import revision_etag
from backend.kit.errors import Conflict, NotFound, PreconditionFailed
from backend.kit.facts import tell
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import announcements, effort, gold, masks, proposals
from backend.learning.annotations.facts import MaskSaved
from backend.learning.annotations.masks import Mask
from backend.learning.annotations.proposals import Distance
from backend.learning.annotations.tables import Annotation, Source
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import Prediction
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches import service as patches
from backend.slides.patches.service import Holder
from backend.slides.patches.tables import Patch, PatchState


class NoAnnotation(NotFound):
    code, title = "no_annotation", "Nobody has annotated this patch"


class AnnotationStale(PreconditionFailed):
    code = "stale"


class PatchUnreadable(Conflict):
    code, title = "patch_unreadable", "This patch can't be annotated"


class NotAnnotatable(Conflict):
    code = "patch_state"


class RevisionNotFound(NotFound):
    code, title = "revision_not_found", "This patch has no such revision"


@dataclass(frozen=True)
class Draft:
    """What a person sends: the mask, where they began and how long they took.

    restores: the earlier revision whose mask it is again. model_version_id: whose proposal was
    shown to them; None: the one that the service shows.
    """

    mask: Mask
    base_revision: int
    source: Source
    seconds_spent: float | None
    restores: Annotation | None = None
    model_version_id: str | None = None


@dataclass(frozen=True)
class Written:
    """new: whether this request wrote it. taken_from: who else had it in hand, and was told."""

    annotation: Annotation
    new: bool
    taken_from: Holder | None = None


@dataclass(frozen=True)
class Prepared:
    """A draft whose mask is a blob and was compared with what the person can have been shown."""

    draft: Draft
    mask_sha256: str
    source: Source
    model_version_id: str | None
    distances: Sequence[Distance]


def prepare(
    session: Session, blobs: Blobs, settings: Settings, patch_id: str, draft: Draft
) -> Prepared:
    """Store a mask and compare it with what models proposed there: all that needs a disk.

    Done in a session that reads: on SQLite one that writes keeps everybody else waiting.
    """
    patch = patches.get(session, patch_id)
    return prepare_mask(session, blobs, settings, patch, draft)


def prepare_mask(
    session: Session, blobs: Blobs, settings: Settings, patch: Patch, draft: Draft
) -> Prepared:
    """Do the same for a patch; of one that is not made yet no model has proposed anything."""
    slide = slides.get(session, patch.slide_id)
    proposing = predictions.proposing(
        session, patch.id, first=draft.model_version_id, most=proposals.MOST_VERSIONS
    )
    distances = proposals.distances_of(slide, patch, proposing, draft.mask, settings)
    return Prepared(
        draft,
        blobs.put(masks.encode(draft.mask)),
        honest_source(draft, distances),
        model_version_of(draft, proposing, distances),
        distances,
    )


def submit(
    session: Session, settings: Settings, patch_id: str, prepared: Prepared, *, by: User
) -> Written:
    """Write the next revision, and tell whoever has the patch open.

    A repeated request returns what the first one wrote. Raise AnnotationStale if somebody else
    was faster: nothing is lost, both masks are there.
    """
    draft = prepared.draft
    patch = patches.get(session, patch_id)
    if repeated := same_again(session, patch, prepared, by):
        return Written(repeated, new=False)
    if draft.base_revision != patch.revision:
        raise stale(session, patch)
    slide = slides.get(session, patch.slide_id)
    effort.check(draft.seconds_spent, since=slide.created_at)
    return write_next(session, settings, patch, slide, prepared, by=by)


def write_next(
    session: Session,
    settings: Settings,
    patch: Patch,
    slide: Slide,
    prepared: Prepared,
    *,
    by: User,
    goes_on: bool = False,
) -> Written:
    """Write the revision after a patch's present one, on which the draft is known to rest.

    goes_on: its author paints more: a patch that is not complete stays in their hands.
    """
    draft, sha256 = prepared.draft, prepared.mask_sha256
    if patch.problem is not None:
        raise PatchUnreadable("The slide file is damaged here: nobody can see what they draw.")
    held = patches.holders(session, [patch]).get(patch.id)
    taken_from = held if held is not None and held.id != by.id else None
    unseen_px = masks.unseen_px(draft.mask)
    counted = patch.revision > 0 and not patch.unseen_px
    advance(session, patch, unseen_px=unseen_px, painter_id=by.id if goes_on else None)
    if patch.role is None:
        gold.assign(session, patch, slide)
    annotation = Annotation(
        patch_id=patch.id,
        revision=patch.revision,
        base_revision=patch.revision - 1,
        author_id=by.id,
        author=by,
        mask_sha256=sha256,
        source=prepared.source,
        seconds_spent=draft.seconds_spent,
        unseen_px=unseen_px,
        model_version_id=prepared.model_version_id,
        restores=draft.restores and draft.restores.revision,
    )
    session.add(annotation)
    session.flush()
    proposals.record(session, annotation, prepared.distances)
    audit.record(
        session,
        by,
        "annotation.saved",
        "patch",
        patch.id,
        revision=annotation.revision,
        mask_sha256=sha256,
        role=str(patch.role),
        **announcements.audit_details(annotation, taken_from),
    )
    announcements.announce_revision(session, patch, annotation, taken_from)
    if counted or not unseen_px:
        tell(session, settings, MaskSaved(slide.id, patch.id, annotation.revision))
    return Written(annotation, new=True, taken_from=taken_from)


def same_again(session: Session, patch: Patch, prepared: Prepared, by: User) -> Annotation | None:
    """Return the newest revision if this is the request that wrote it, sent once more."""
    draft, sha256 = prepared.draft, prepared.mask_sha256
    if patch.revision == 0 or draft.base_revision != patch.revision - 1:
        return None
    latest = of_revision(session, patch.id, patch.revision)
    mine = latest.author_id == by.id and latest.mask_sha256 == sha256
    restored = draft.restores and draft.restores.revision
    return latest if mine and latest.restores == restored else None


def advance(session: Session, patch: Patch, *, unseen_px: int, painter_id: str | None) -> None:
    """Count the patch's revision up and take it out of everybody's hands, if it is still ours."""
    base = patch.revision
    if patches.advance(session, patch, unseen_px=unseen_px, painter_id=painter_id):
        return
    if patch.revision != base:
        raise stale(session, patch)
    raise NotAnnotatable(
        f"This patch is {patch.state}: a second person has approved its mask, so it stays."
        if patch.state == PatchState.APPROVED
        else f"A patch that is {patch.state} can't be annotated."
    )


def stale(session: Session, patch: Patch) -> AnnotationStale:
    """Return the error that shows what is there now."""
    current = present(session, patch)
    return AnnotationStale(
        f"The patch is at revision {patch.revision} now. Your mask was not saved over it; look at "
        "the newer one, then save again.",
        headers={"ETag": revision_etag(patch.revision)},
        current=current,
    )


def present(session: Session, patch: Patch) -> dict[str, Any]:
    """Return what a patch's newest revision is, for who was late."""
    current: dict[str, Any] = {"revision": patch.revision, "state": str(patch.state)}
    if not patch.revision:
        return current
    there = of_revision(session, patch.id, patch.revision)
    return current | {
        "annotation_id": there.id,
        "author": {"id": there.author.id, "username": there.author.name},
        "created_at": there.created_at.isoformat(),
        "mask_sha256": there.mask_sha256,
    }


def honest_source(draft: Draft, distances: Sequence[Distance]) -> Source:
    """Return the source: a mask is a proposal if it is one, pixel for pixel, and else was edited.

    Who began with an empty mask keeps that word. A restored mask came about as it did the first
    time: restoring draws nothing.
    """
    if draft.restores is not None:
        return draft.restores.source
    if draft.source == Source.SCRATCH:
        return Source.SCRATCH
    return Source.PROPOSAL if any(each.same for each in distances) else Source.EDITED


def model_version_of(
    draft: Draft, proposing: Sequence[Prediction], distances: Sequence[Distance]
) -> str | None:
    """Return whose proposal the person saw: the one that they took, or that was shown to them."""
    if draft.restores is not None:
        return draft.restores.model_version_id
    same = next((each.model_version_id for each in distances if each.same), None)
    return same or (proposing[0].model_version_id if proposing else None)


def any_revision(session: Session, patch_id: str, revision: int) -> Annotation:
    """Return a revision of a patch, old or new; raise RevisionNotFound."""
    patch = patches.get(session, patch_id)
    if not 1 <= revision <= patch.revision:
        raise RevisionNotFound(
            f"This patch has revisions 1 to {patch.revision}."
            if patch.revision
            else "Nobody has annotated this patch yet, so it has no revision."
        )
    return of_revision(session, patch.id, revision)


def of_revision(session: Session, patch_id: str, revision: int) -> Annotation:
    return session.scalars(
        select(Annotation)
        .where(Annotation.patch_id == patch_id, Annotation.revision == revision)
        .options(joinedload(Annotation.author))
    ).one()


def mask_at(session: Session, blobs: Blobs, patch_id: str, revision: int) -> Mask:
    """Return the mask of a revision that is there; of 0: nobody has looked anywhere."""
    if revision == 0:
        return masks.nothing_seen()
    return masks.decode_stored(blobs.read(of_revision(session, patch_id, revision).mask_sha256))


def newest_of(session: Session, patch_id: str) -> Annotation:
    """Return the newest revision of a patch; raise NoAnnotation."""
    patch = patches.get(session, patch_id)
    if patch.revision == 0:
        raise NoAnnotation("There is no annotation of this patch yet.")
    return of_revision(session, patch.id, patch.revision)


def revisions(session: Session, patch_id: str) -> Select[Annotation]:
    """Return the statement of all revisions of a patch, with their authors."""
    patch = patches.get(session, patch_id)
    return (
        select(Annotation)
        .where(Annotation.patch_id == patch.id)
        .options(joinedload(Annotation.author))
    )
