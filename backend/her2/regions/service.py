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
from backend.her2.regions.geojson import MOST_REGIONS, Region
from backend.her2.regions.tables import RegionSet
from backend.kit.conditional import revision_etag
from backend.kit.db.session import Database
from backend.kit.errors import NotFound, PreconditionFailed
from backend.kit.events.service import announce
from backend.kit.facts import tell
from backend.kit.outlines import OutlineInvalid
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


@dataclass(frozen=True)
class Editor:
    """A person's change of a slide's regions, from the revision that they have seen, if they say.

    Each change writes the next revision of the whole set; one that changes nothing writes none.
    """

    database: Database
    blobs: Blobs
    settings: Settings
    slide_id: str
    by: User
    base_revision: int | None

    def add(self, content: Any) -> Regions:
        """Add regions to those that are there. Without a base it loses nothing of anybody's."""
        slide, new, left = self._parsed(content)

        def added(before: Regions) -> list[Region]:
            known = {region.id for region in before.regions}
            if taken := [region.id for region in new if region.id in known]:
                raise OutlineInvalid(
                    f"A region {taken[0]} is there already: change it with PUT.",
                    code="region_exists",
                )
            return [*before.regions, *new]

        return with_other(self._write(slide, added, change="added"), left=left)

    def replace(self, content: Any) -> Regions:
        """Put a whole set in the place of the present one."""
        slide, new, left = self._parsed(content)
        return with_other(self._write(slide, lambda _: new, change="replaced"), left=left)

    def change(self, region_id: str, content: Any) -> Regions:
        """Put another shape, kind or name in the place of one region."""
        slide, new, left = self._parsed(content)

        def changed(before: Regions) -> list[Region]:
            if len(new) != 1 or left:
                raise OutlineInvalid("Send one GeoJSON Feature.", code="not_geojson")
            return [*without(before, region_id), with_other(new[0], id=region_id)]

        return self._write(slide, changed, change="changed")

    def remove(self, region_id: str) -> Regions:
        """Take one region away; the revisions before keep it."""
        slide, _, _ = self._parsed([])
        return self._write(slide, lambda before: without(before, region_id), change="removed")

    def _parsed(self, content: Any) -> tuple[Slide, list[Region], Counter[str]]:
        """Return the slide, a body's regions, and what the body holds besides."""
        with self.database.reading() as session:
            slide, width, height = slides.visible(session, self.slide_id)
        corner = frame.corner(slide, self.settings) if content else (0, 0)
        new, left = geojson.parse(content, width=width, height=height, corner=corner)
        ids = [region.id for region in new]
        if len(set(ids)) != len(ids):
            raise OutlineInvalid("Two regions have the same id.", code="region_exists")
        return slide, new, left

    def _write(
        self, slide: Slide, regions_after: Callable[[Regions], list[Region]], *, change: str
    ) -> Regions:
        """Write the next revision; a set that is the present one already stays as it is.

        Blobs are read and stored before the transaction. If somebody else was faster it is made
        anew of what is there now.
        """
        while True:
            with self.database.reading() as session:
                before = current(session, self.blobs, slide.id)
            require_seen(before, self.base_revision)
            regions = regions_after(before)
            if len(regions) > MOST_REGIONS:
                raise OutlineInvalid(
                    f"A slide takes {MOST_REGIONS} regions; with these it had {len(regions)}.",
                    code="too_many_regions",
                )
            sha256 = self.blobs.put(geojson.document(regions))
            if sha256 == before.sha256:
                return before
            with self.database.writing() as session:
                slides.lock(session, slide.id)
                slides.visible(session, slide.id)
                newest = session.scalar(revisions(slide.id).limit(1))
                if (newest.revision if newest else 0) == before.revision:
                    return self._next_revision(session, before, regions, sha256, change=change)

    def _next_revision(
        self,
        session: Session,
        before: Regions,
        regions: Sequence[Region],
        sha256: str,
        *,
        change: str,
    ) -> Regions:
        slide_id, revision = before.slide.id, before.revision + 1
        row = RegionSet(
            slide_id=slide_id,
            revision=revision,
            base_revision=before.revision,
            author_id=self.by.id,
            sha256=sha256,
            change=change,
            region_count=len(regions),
        )
        session.add(row)
        session.flush()
        session.refresh(row, ["author"])
        facts = {"revision": revision, "sha256": sha256}
        audit.record(session, self.by, f"regions.{change}", "slide", slide_id, **facts)
        announce(session, RegionSet.TOPIC, slide_id, facts)
        tell(session, self.settings, RegionsChanged(slide_id, revision))
        ordered = sorted(regions, key=lambda each: each.id)
        return Regions(before.slide, revision, sha256, ordered, row)


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
