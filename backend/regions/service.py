"""Regions: a person's polygons on a slide, as revisions of the whole set; nothing is overwritten.

A score is made from one set, which it names by its sha256.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_other
from hashlib import sha256 as hashed
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from backend.audit import service as audit
from backend.auth.tables import User
from backend.conditional import revision_etag
from backend.errors import NotFound, PreconditionFailed
from backend.events.service import announce
from backend.regions import geojson
from backend.regions.geojson import MOST_REGIONS, Region, RegionInvalid
from backend.regions.tables import RegionSet
from backend.scores import changes as scores
from backend.slides import service as slides
from backend.slides.tables import Slide
from backend.storage.blobs import Blobs


class RegionNotFound(NotFound):
    code = "region_not_found"


class RegionsStale(PreconditionFailed):
    code = "stale"


@dataclass(frozen=True)
class Regions:
    """The regions of a slide at a revision; revision 0 is before anybody drew one."""

    slide: Slide
    revision: int
    sha256: str
    regions: list[Region]
    row: RegionSet | None
    left: Mapping[str, int] = field(default_factory=dict)
    """What of a body that was sent is no region, by its class: it was left."""

    @property
    def etag(self) -> str:
        return revision_etag(self.revision)


def current(session: Session, blobs: Blobs, slide_id: str) -> Regions:
    """Return the newest set of regions of a slide."""
    slide, _, _ = slides.visible(session, slide_id)
    return loaded(blobs, slide, session.scalar(revisions(slide_id).limit(1)))


def at_revision(session: Session, blobs: Blobs, slide_id: str, revision: int) -> Regions:
    """Return an older set; raise RegionNotFound if there is no such revision."""
    slide, _, _ = slides.visible(session, slide_id)
    row = session.scalar(revisions(slide_id).where(RegionSet.revision == revision))
    if row is None and revision != 0:
        raise RegionNotFound(f"The regions of this slide have no revision {revision}.")
    return loaded(blobs, slide, row)


def revisions(slide_id: str) -> Select[RegionSet]:
    """Select the revisions of a slide, newest first."""
    return (
        select(RegionSet).where(RegionSet.slide_id == slide_id).order_by(RegionSet.revision.desc())
    )


def loaded(blobs: Blobs, slide: Slide, row: RegionSet | None) -> Regions:
    if row is None:
        return Regions(slide, 0, hashed(geojson.document([])).hexdigest(), [], None)
    content = blobs.read(row.sha256)
    return Regions(slide, row.revision, row.sha256, geojson.from_document(content), row)


def add(
    session: Session,
    blobs: Blobs,
    slide_id: str,
    content: Any,
    *,
    base_revision: int | None,
    by: User,
) -> Regions:
    """Add regions to those that are there. Without a base it loses nothing of anybody's."""
    before, new, left = prepared(session, blobs, slide_id, content, base_revision)
    known = {region.id for region in before.regions}
    if taken := [region.id for region in new if region.id in known]:
        raise RegionInvalid(
            f"A region {taken[0]} is there already: change it with PUT.", code="region_exists"
        )
    added = write(session, blobs, before, [*before.regions, *new], change="added", by=by)
    return with_other(added, left=left)


def replace(
    session: Session,
    blobs: Blobs,
    slide_id: str,
    content: Any,
    *,
    base_revision: int,
    by: User,
) -> Regions:
    """Put a whole set in the place of the present one."""
    before, new, left = prepared(session, blobs, slide_id, content, base_revision)
    replaced = write(session, blobs, before, new, change="replaced", by=by)
    return with_other(replaced, left=left)


def change(
    session: Session,
    blobs: Blobs,
    slide_id: str,
    region_id: str,
    content: Any,
    *,
    base_revision: int,
    by: User,
) -> Regions:
    """Put another shape, kind or name in the place of one region."""
    before, new, left = prepared(session, blobs, slide_id, content, base_revision)
    if len(new) != 1 or left:
        raise RegionInvalid("Send one GeoJSON Feature.", code="not_geojson")
    rest = without(before, region_id)
    changed = with_other(new[0], id=region_id)
    return write(session, blobs, before, [*rest, changed], change="changed", by=by)


def remove(
    session: Session,
    blobs: Blobs,
    slide_id: str,
    region_id: str,
    *,
    base_revision: int,
    by: User,
) -> Regions:
    """Take one region away; the revisions before keep it."""
    before, _, _ = prepared(session, blobs, slide_id, [], base_revision)
    rest = without(before, region_id)
    return write(session, blobs, before, rest, change="removed", by=by)


def prepared(
    session: Session, blobs: Blobs, slide_id: str, content: Any, base_revision: int | None
) -> tuple[Regions, list[Region], Counter[str]]:
    """Return the present set, held against other writers, a body's regions, and what it leaves."""
    slide, width, height = slides.visible(session, slide_id)
    new, left = geojson.parse(content, width=width, height=height)
    ids = [region.id for region in new]
    if len(set(ids)) != len(ids):
        raise RegionInvalid("Two regions have the same id.", code="region_exists")
    # SQLite has one writer at a time; PostgreSQL lets them queue at the slide's row
    session.execute(select(Slide.id).where(Slide.id == slide_id).with_for_update())
    before = loaded(blobs, slide, session.scalar(revisions(slide_id).limit(1)))
    if base_revision is not None and base_revision != before.revision:
        raise RegionsStale(
            f"The regions are at revision {before.revision} now: look at them and try again.",
            headers={"ETag": before.etag},
            revision=before.revision,
            sha256=before.sha256,
            current={
                "revision": before.revision,
                "sha256": before.sha256,
                **json.loads(geojson.document(before.regions)),
            },
        )
    return before, new, left


def without(before: Regions, region_id: str) -> list[Region]:
    rest = [region for region in before.regions if region.id != region_id]
    if len(rest) == len(before.regions):
        raise RegionNotFound("This slide has no region with this id.")
    return rest


def write(
    session: Session,
    blobs: Blobs,
    before: Regions,
    regions: Sequence[Region],
    *,
    change: str,
    by: User,
) -> Regions:
    """Write the next revision; a set that is the present one already stays as it is."""
    if len(regions) > MOST_REGIONS:
        raise RegionInvalid(
            f"A slide takes {MOST_REGIONS} regions; with these it had {len(regions)}.",
            code="too_many_regions",
        )
    sha256 = blobs.put(geojson.document(regions))
    if sha256 == before.sha256:
        return before
    row = RegionSet(
        slide_id=before.slide.id,
        revision=before.revision + 1,
        base_revision=before.revision,
        author_id=by.id,
        sha256=sha256,
        change=change,
        region_count=len(regions),
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        by,
        f"regions.{change}",
        "slide",
        before.slide.id,
        revision=row.revision,
        sha256=sha256,
    )
    announce(
        session, RegionSet.TOPIC, before.slide.id, {"revision": row.revision, "sha256": sha256}
    )
    scores.touch(session, before.slide.id)
    ordered = sorted(regions, key=lambda each: each.id)
    return Regions(before.slide, row.revision, sha256, ordered, row)
