"""Regions: a person's polygons on a slide, as revisions of the whole set; nothing is overwritten.

A score is made from one set, which it names by its sha256.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_other
from hashlib import sha256 as hashed
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from backend.her2.regions import geojson
from backend.her2.regions.facts import RegionsChanged
from backend.her2.regions.geojson import MOST_REGIONS, Region, RegionInvalid
from backend.her2.regions.tables import RegionSet
from backend.kit.conditional import revision_etag
from backend.kit.db.session import Database
from backend.kit.errors import NotFound, PreconditionFailed
from backend.kit.events.service import announce
from backend.kit.facts import tell
from backend.kit.storage.blobs import Blobs
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide


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
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    content: Any,
    *,
    base_revision: int | None,
    by: User,
) -> Regions:
    """Add regions to those that are there. Without a base it loses nothing of anybody's."""
    slide, new, left = parsed(database, settings, slide_id, content)

    def added(before: Regions) -> list[Region]:
        known = {region.id for region in before.regions}
        if taken := [region.id for region in new if region.id in known]:
            raise RegionInvalid(
                f"A region {taken[0]} is there already: change it with PUT.", code="region_exists"
            )
        return [*before.regions, *new]

    done = write(database, blobs, settings, slide, added, base_revision, change="added", by=by)
    return with_other(done, left=left)


def replace(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    content: Any,
    *,
    base_revision: int,
    by: User,
) -> Regions:
    """Put a whole set in the place of the present one."""
    slide, new, left = parsed(database, settings, slide_id, content)
    done = write(
        database, blobs, settings, slide, lambda _: new, base_revision, change="replaced", by=by
    )
    return with_other(done, left=left)


def change(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    region_id: str,
    content: Any,
    *,
    base_revision: int,
    by: User,
) -> Regions:
    """Put another shape, kind or name in the place of one region."""
    slide, new, left = parsed(database, settings, slide_id, content)

    def changed(before: Regions) -> list[Region]:
        if len(new) != 1 or left:
            raise RegionInvalid("Send one GeoJSON Feature.", code="not_geojson")
        return [*without(before, region_id), with_other(new[0], id=region_id)]

    return write(database, blobs, settings, slide, changed, base_revision, change="changed", by=by)


def remove(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide_id: str,
    region_id: str,
    *,
    base_revision: int,
    by: User,
) -> Regions:
    """Take one region away; the revisions before keep it."""
    slide, _, _ = parsed(database, settings, slide_id, [])

    def rest(before: Regions) -> list[Region]:
        return without(before, region_id)

    return write(database, blobs, settings, slide, rest, base_revision, change="removed", by=by)


def parsed(
    database: Database, settings: Settings, slide_id: str, content: Any
) -> tuple[Slide, list[Region], Counter[str]]:
    """Return the slide, a body's regions, and what the body holds besides."""
    with database.reading() as session:
        slide, width, height = slides.visible(session, slide_id)
    corner = frame.corner(slide, settings) if content else (0, 0)
    new, left = geojson.parse(content, width=width, height=height, corner=corner)
    ids = [region.id for region in new]
    if len(set(ids)) != len(ids):
        raise RegionInvalid("Two regions have the same id.", code="region_exists")
    return slide, new, left


def require_seen(before: Regions, base_revision: int | None) -> None:
    """Raise RegionsStale unless the present set is the one that a person has seen."""
    if base_revision is None or base_revision == before.revision:
        return
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


def without(before: Regions, region_id: str) -> list[Region]:
    rest = [region for region in before.regions if region.id != region_id]
    if len(rest) == len(before.regions):
        raise RegionNotFound("This slide has no region with this id.")
    return rest


def write(
    database: Database,
    blobs: Blobs,
    settings: Settings,
    slide: Slide,
    made_of: Callable[[Regions], list[Region]],
    base_revision: int | None,
    *,
    change: str,
    by: User,
) -> Regions:
    """Write the next revision; a set that is the present one already stays as it is.

    Blobs are read and stored before the transaction. If somebody else was faster it is made anew
    of what is there now.
    """
    while True:
        with database.reading() as session:
            before = current(session, blobs, slide.id)
        require_seen(before, base_revision)
        regions = made_of(before)
        if len(regions) > MOST_REGIONS:
            raise RegionInvalid(
                f"A slide takes {MOST_REGIONS} regions; with these it had {len(regions)}.",
                code="too_many_regions",
            )
        sha256 = blobs.put(geojson.document(regions))
        if sha256 == before.sha256:
            return before
        with database.writing() as session:
            # SQLite has one writer at a time; PostgreSQL lets them queue at the slide's row
            session.execute(select(Slide.id).where(Slide.id == slide.id).with_for_update())
            slides.visible(session, slide.id)
            newest = session.scalar(revisions(slide.id).limit(1))
            if (newest.revision if newest else 0) == before.revision:
                return next_revision(
                    session, settings, before, regions, sha256, change=change, by=by
                )


def next_revision(
    session: Session,
    settings: Settings,
    before: Regions,
    regions: Sequence[Region],
    sha256: str,
    *,
    change: str,
    by: User,
) -> Regions:
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
    session.refresh(row, ["author"])
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
    tell(session, settings, RegionsChanged(before.slide.id, row.revision))
    ordered = sorted(regions, key=lambda each: each.id)
    return Regions(before.slide, row.revision, sha256, ordered, row)
