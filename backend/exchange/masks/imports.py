"""Outlines drawn elsewhere become annotations: new revisions of the patches that they touch.

What a file says of a patch is the whole of its new mask. A patch is written only from the revision
that its writer has seen: the one its feature was exported from, or, where the file names none, the
present one if the caller holds the present ETag, else none at all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from backend.exchange.masks import geojson
from backend.exchange.masks.geojson import VALUES, Drawing, GeoJsonInvalid, Shape
from backend.exchange.masks.placing import Grid, TooManyPatches, touched
from backend.exchange.masks.scanlines import paint
from backend.exchange.masks.work import Work
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
from backend.slides.patches import service as patches
from backend.slides.patches.grid import PATCH_PX, grid_shape, patch_region
from backend.slides.patches.service import Holder
from backend.slides.patches.tables import Patch

MOST_PATCHES = 2000
"""Of one import: more than a person draws in weeks, less than a slip of the mouse may cover."""


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


def go_on() -> None:
    """Let the work go on."""


def state_seen(session: Session, slide_id: str, if_match: str | None) -> dict[str, int]:
    """Return which revision of each patch a caller has seen: none, unless `if_match` says all.

    Raise SlideChanged if `if_match` is not the slide's present state.
    """
    require_measured(slides.get(session, slide_id))
    if if_match is None:
        return {}
    etag = f'"{newest_masks.state_of(session, slide_id)}"'
    if is_stale(if_match, etag):
        raise SlideChanged(
            "Somebody has annotated this slide since you got it: get it again, and import what you "
            "drew into that.",
            headers={"ETag": etag},
        )
    return patches.annotated(session, slide_id)


def take(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    content: Any,
    *,
    seen: Mapping[str, int],
    work: Work,
    by: User,
    most_patches: int,
    pause: Callable[[], None] = go_on,
) -> Imported:
    """Write what a GeoJSON says, each patch in a transaction of its own; nobody waits for all.

    seen: revisions of annotated patches that the caller knows (`state_seen`). pause: called now and
    then; may raise what ends the work. Raise GeoJsonInvalid, OutlineInvalid or TooMuchWork before
    anything is written. Sent again it finds what it wrote and writes nothing.
    """
    with database.reading() as session:
        plan = planned(
            session, settings, slide_id, content, seen, work, most_patches=most_patches, pause=pause
        )
    drawn = [(task, drawn_small(task, work, pause)) for task in plan.tasks]
    patch_outcomes = []
    for task, png in drawn:
        pause()
        mask = masks.decode_stored(png)
        # a shape may end at a patch's border without a pixel of it
        if task.named or mask.any():
            patch_outcomes.append(written(database, blobs, settings, task, mask, by))
    with database.writing() as session:
        outcomes = {str(outcome): number for outcome, number in counted(patch_outcomes)}
        audit.record(session, by, "annotations.imported", "slide", slide_id, **outcomes)
    return Imported(patch_outcomes, plan.elsewhere, plan.others)


def drawn_small(task: Task, work: Work, pause: Callable[[], None]) -> bytes:
    """Return a patch's mask as its PNG: all are drawn before the first is written."""
    pause()
    return masks.encode(mask_of(task.patch, task.shapes, work))


def planned(
    session: Session,
    settings: Settings,
    slide_id: str,
    content: Any,
    seen: Mapping[str, int],
    work: Work,
    *,
    most_patches: int,
    pause: Callable[[], None],
) -> Plan:
    slide = slides.get(session, slide_id)
    require_measured(slide)
    shape = grid_shape(slide, settings.analysis_mpp)
    whole = patch_region(slide, *shape, settings.analysis_mpp)
    shapes, others = geojson.parse(
        content, width=int(whole.x) + 1, height=int(whole.y) + 1, pause=pause
    )
    shapes = [moved(shape, *frame.corner(slide, settings)) for shape in shapes]
    places = np.array(patches.places(session, slide_id), np.int64).reshape(-1, 2)
    grid = Grid(places, shape, whole.width)
    touching = touched(shapes, grid, work, most=most_patches, pause=pause)
    named = named_patches(session, slide_id, shapes)
    wanted = patches.by_place(session, slide_id, touching)
    wanted |= {(each.row, each.column): each for each in patches.by_id(session, named)}
    if len(wanted) > most_patches:
        raise TooManyPatches(
            f"The outlines touch {len(wanted)} patches, and {most_patches} are taken at once."
        )
    reached = {id(shape) for some in touching.values() for shape in some}
    tasks = [
        Task(
            patch,
            touching.get(place, []),
            named.get(patch.id, seen.get(patch.id, 0)),
            patch.id in named,
        )
        for place, patch in sorted(wanted.items())
    ]
    return Plan(tasks, sum(id(each) not in reached for each in shapes), others)


def moved(shape: Shape, x: int, y: int) -> Shape:
    """Return an outline of QuPath's in the slide's own px (slides/catalogue/frame.py)."""
    if not (x or y):
        return shape
    import shapely.affinity

    return replace(shape, outline=shapely.affinity.translate(shape.outline, x, y))


def named_patches(session: Session, slide_id: str, shapes: Sequence[Shape]) -> dict[str, int]:
    """Return the revision that features name of each patch: the oldest, if they differ."""
    named: dict[str, int] = {}
    where: dict[str, str] = {}
    for shape in shapes:
        if shape.patch_id is not None and shape.revision is not None:
            where.setdefault(shape.patch_id, shape.where)
            named[shape.patch_id] = min(shape.revision, named.get(shape.patch_id, shape.revision))
    known = {each.id for each in patches.by_id(session, named) if each.slide_id == slide_id}
    for patch_id in named:
        if patch_id not in known:
            raise GeoJsonInvalid(
                f"{where[patch_id]} was exported from a patch that this slide does not have. To "
                "put it here all the same, take `patch_id` out of its properties and its metadata.",
                code="patch_of_another_slide",
            )
    return named


def mask_of(patch: Patch, shapes: Sequence[Shape], work: Work) -> Mask:
    """Return a patch's mask, uint8 (256, 256).

    What is to be ignored goes before membrane, and both before what nobody had looked at: somebody
    has drawn there since.
    """
    mask = np.zeros((PATCH_PX, PATCH_PX), np.uint8)
    for drawing in (Drawing.UNSEEN, Drawing.MEMBRANE, Drawing.IGNORE):
        for shape in shapes:
            if shape.drawing == drawing:
                edges = shape.edges.within((patch.x0, patch.y0), patch.size0 / PATCH_PX)
                paint(mask, VALUES[drawing], edges, work.spend)
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
