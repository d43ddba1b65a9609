"""Outlines drawn elsewhere become annotations: new revisions of the patches that they touch.

What a file says of a patch is the whole of its new mask. A patch is written only from the revision
that its writer has seen: the one its feature was exported from, or, where the file names none, the
present one if the caller holds the present ETag, else none at all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from backend.exchange.masks import geojson
from backend.exchange.masks.geojson import VALUES, Drawing, GeoJsonInvalid, Shape
from backend.exchange.masks.outlines import inside
from backend.kit.conditional import is_stale
from backend.kit.db.session import Database
from backend.kit.errors import MembranaError, PreconditionFailed
from backend.kit.storage.blobs import Blobs
from backend.learning.annotations import masks, newest_masks, service
from backend.learning.annotations.masks import Mask
from backend.learning.annotations.service import AnnotationStale, Draft
from backend.learning.annotations.tables import Source
from backend.learning.predictions.service import require_measured
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides
from backend.slides.patches.grid import PATCH_PX, grid_shape, patch_region
from backend.slides.patches.service import Holder
from backend.slides.patches.service import of_slide as every_patch
from backend.slides.patches.tables import Patch

MOST_PATCHES = 2000
"""Of one import: more than a person draws in weeks, less than a slip of the mouse may cover."""
RIM = 0.25
"""Analysis px: what reaches less far into a patch than this holds no pixel's centre."""


class SlideChanged(PreconditionFailed):
    code = "stale"


class Outcome(StrEnum):
    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(frozen=True)
class PatchOutcome:
    """What became of a patch: its revision afterwards, and why if nothing was written.

    taken_from: who else had the patch in hand, and was told.
    """

    patch: Patch
    outcome: Outcome
    revision: int
    problem: dict[str, Any] | None = None
    taken_from: Holder | None = None


@dataclass(frozen=True)
class Imported:
    """patches: in the grid's order; elsewhere: features on no patch; others: of other classes."""

    patches: list[PatchOutcome]
    elsewhere: int
    others: Counter[str]


@dataclass(frozen=True)
class Task:
    """A patch, the shapes its mask is to be made of, and the revision that its writer has seen.

    named: a feature says that it is of this patch, so that without a pixel it is an empty mask.
    """

    patch: Patch
    shapes: Sequence[Shape]
    base: int
    named: bool


@dataclass(frozen=True)
class Plan:
    tasks: list[Task]
    elsewhere: int
    others: Counter[str]


def take(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    content: Any,
    *,
    if_match: str | None,
    by: User,
) -> Imported:
    """Write what a GeoJSON says, each patch in a transaction of its own; nobody waits for all.

    Raise GeoJsonInvalid or OutlineInvalid before anything is written, SlideChanged if `if_match` is
    not the slide's present state. Sent again it finds what it wrote and writes nothing.
    """
    with database.reading() as session:
        plan = planned(session, settings, slide_id, content, if_match)
    patch_outcomes = []
    for task in plan.tasks:
        mask = mask_of(task.patch, task.shapes)
        # a shape may end at a patch's border without a pixel of it
        if task.named or mask.any():
            patch_outcomes.append(written(database, blobs, settings, task, mask, by))
    with database.writing() as session:
        outcomes = {str(outcome): number for outcome, number in counted(patch_outcomes)}
        audit.record(session, by, "annotations.imported", "slide", slide_id, **outcomes)
    return Imported(patch_outcomes, plan.elsewhere, plan.others)


def planned(
    session: Session, settings: Settings, slide_id: str, content: Any, if_match: str | None
) -> Plan:
    slide = slides.get(session, slide_id)
    require_measured(slide)
    etag = f'"{newest_masks.state_of(session, slide_id)}"'
    if is_stale(if_match, etag):
        raise SlideChanged(
            "Somebody has annotated this slide since you got it: get it again, and import what you "
            "drew into that.",
            headers={"ETag": etag},
        )
    rows, columns = grid_shape(slide, settings.analysis_mpp)
    whole = patch_region(slide, rows, columns, settings.analysis_mpp)
    shapes, others = geojson.parse(content, width=int(whole.x) + 1, height=int(whole.y) + 1)
    shapes = [moved(shape, *frame.corner(slide, settings)) for shape in shapes]
    patches = every_patch(session, slide_id)
    named = named_patches(shapes, patches)
    touching = touched(shapes, patches)
    wanted = [each for each in patches if each.id in touching or each.id in named]
    if len(wanted) > MOST_PATCHES:
        raise GeoJsonInvalid(
            f"The outlines touch {len(wanted)} patches, and {MOST_PATCHES} are taken at once.",
            code="too_many_patches",
        )
    reached = {id(shape) for some in touching.values() for shape in some}
    tasks = [
        Task(
            patch,
            touching.get(patch.id, []),
            named.get(patch.id, patch.revision if if_match is not None else 0),
            patch.id in named,
        )
        for patch in wanted
    ]
    return Plan(tasks, sum(id(each) not in reached for each in shapes), others)


def moved(shape: Shape, x: int, y: int) -> Shape:
    """Return an outline of QuPath's in the slide's own px (slides/catalogue/frame.py)."""
    if not (x or y):
        return shape
    import shapely.affinity

    return replace(shape, outline=shapely.affinity.translate(shape.outline, x, y))


def named_patches(shapes: Sequence[Shape], patches: Sequence[Patch]) -> dict[str, int]:
    """Return the revision that features name of each patch: the oldest, if they differ."""
    known = {patch.id for patch in patches}
    named: dict[str, int] = {}
    for shape in shapes:
        if shape.patch_id is None or shape.revision is None:
            continue
        if shape.patch_id not in known:
            raise GeoJsonInvalid(
                f"{shape.where} was exported from a patch that this slide does not have. To put "
                "it here all the same, take `patch_id` out of its properties and its metadata.",
                code="patch_of_another_slide",
            )
        named[shape.patch_id] = min(shape.revision, named.get(shape.patch_id, shape.revision))
    return named


def touched(shapes: Sequence[Shape], patches: Sequence[Patch]) -> dict[str, list[Shape]]:
    """Return the shapes that reach into each patch."""
    import shapely

    if not patches:
        return {}
    corner = np.array([(each.x0, each.y0) for each in patches])
    side = np.array([each.size0 for each in patches])[:, None]
    rim = RIM * side / PATCH_PX
    boxes = shapely.box(*(corner + rim).T, *(corner + side - rim).T)
    tree = shapely.STRtree([shape.outline for shape in shapes])
    shapes_of: defaultdict[str, list[Shape]] = defaultdict(list)
    for patch, shape in tree.query(boxes, predicate="intersects").T.tolist():
        shapes_of[patches[patch].id].append(shapes[shape])
    return shapes_of


def mask_of(patch: Patch, shapes: Sequence[Shape]) -> Mask:
    """Return a patch's mask, uint8 (256, 256).

    What is to be ignored goes before membrane, and both before what nobody had looked at: somebody
    has drawn there since.
    """
    mask = np.zeros((PATCH_PX, PATCH_PX), np.uint8)
    for drawing in (Drawing.UNSEEN, Drawing.MEMBRANE, Drawing.IGNORE):
        outlines = [shape.outline for shape in shapes if shape.drawing == drawing]
        mask[inside(outlines, patch.x0, patch.y0, patch.size0)] = VALUES[drawing]
    return mask


def written(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    task: Task,
    mask: Mask,
    by: User,
) -> PatchOutcome:
    """Write one patch's next revision, or say why not."""
    patch, base = task.patch, task.base
    if base and patch.revision == base and same(database, blobs, patch, mask):
        return PatchOutcome(patch, Outcome.UNCHANGED, base)
    draft = Draft(mask, base, Source.EDITED if base else Source.SCRATCH, None)
    try:
        with database.reading() as session:
            prepared = service.prepare(session, blobs, settings, patch.id, draft)
        with database.writing() as session:
            done = service.submit(session, settings, patch.id, prepared, by=by)
    except AnnotationStale as stale:
        now = stale.extra["current"]["revision"]
        return PatchOutcome(patch, Outcome.CONFLICT, now, stale.problem())
    except MembranaError as error:
        return PatchOutcome(patch, Outcome.REFUSED, patch.revision, error.problem())
    outcome = Outcome.WRITTEN if done.new else Outcome.UNCHANGED
    return PatchOutcome(patch, outcome, done.annotation.revision, taken_from=done.taken_from)


def same(database: Database, blobs: Blobs, patch: Patch, mask: Mask) -> bool:
    """Say whether a mask is the patch's newest one, pixel for pixel."""
    with database.reading() as session:
        newest = service.of_revision(session, patch.id, patch.revision)
    return np.array_equal(masks.decode_stored(blobs.read(newest.mask_sha256)), mask)


def counted(patch_outcomes: Sequence[PatchOutcome]) -> Iterator[tuple[Outcome, int]]:
    """Yield how many patches had each outcome."""
    counts = Counter(each.outcome for each in patch_outcomes)
    for outcome in Outcome:
        yield outcome, counts[outcome]
