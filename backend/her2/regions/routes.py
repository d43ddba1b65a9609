"""Regions over HTTP: GeoJSON in level-0 px, in and out."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response, status
from fastapi.responses import JSONResponse

from backend.her2.regions import service
from backend.her2.regions.schemas import RegionRevision, RegionsOut
from backend.her2.regions.tables import RegionSet
from backend.kit import conditional
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.paging import (
    Cursor,
    Limit,
    Page,
    paginate,
)
from backend.people.users.guards import Pathologist, Viewer
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides

router = APIRouter(prefix="/slides/{slide_id}/regions", tags=["her2"])
IfMatch = Annotated[str | None, Header()]
GeoJson = Annotated[Any, Body(description="A GeoJSON Feature or FeatureCollection of polygons.")]


def answer(response: Response, regions: service.Regions) -> RegionsOut:
    response.headers["ETag"] = regions.etag
    return RegionsOut.of(regions)


@router.get("", response_model=RegionsOut)
def list_regions(
    session: ReadSession,
    blobs: BlobStore,
    settings: CurrentSettings,
    _: Viewer,
    slide_id: str,
    response: Response,
    revision: Annotated[int | None, Query(ge=0, lt=1 << 31, description="An older set.")] = None,
    *,
    qupath: Annotated[
        bool, Query(description="Counted as QuPath does, to be opened there.")
    ] = False,
) -> Any:
    """Return the tumour, exclude and artefact polygons of a slide, and which revision they are.

    For QuPath they are without `kind`: what says it counts as the service does when it comes back.
    """
    found = (
        service.current(session, blobs, slide_id)
        if revision is None
        else service.at_revision(session, blobs, slide_id, revision)
    )
    if not qupath:
        return answer(response, found)
    whole = RegionsOut.of(found).model_dump(mode="json")
    for feature in whole["features"]:
        del feature["properties"]["kind"]
    moved = frame.moved(whole, *frame.corner(found.slide, settings))
    return JSONResponse(moved, headers={"ETag": found.etag}, media_type="application/geo+json")


@router.post("", status_code=status.HTTP_201_CREATED)
def add_regions(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    content: GeoJson,
    response: Response,
    if_match: IfMatch = None,
) -> RegionsOut:
    """Add regions (property `kind`: tumour, exclude or artefact); others' stay as they are.

    An export of QuPath is taken too (Tumor, Ignore*); what it holds besides is listed as left.
    """
    base = None if if_match is None else conditional.base_revision(if_match)
    added = service.add(database, blobs, settings, slide_id, content, base_revision=base, by=user)
    return answer(response, added)


@router.put("")
def replace_regions(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    content: GeoJson,
    response: Response,
    if_match: IfMatch = None,
) -> RegionsOut:
    """Replace the whole set; needs If-Match, and older revisions stay."""
    base = conditional.base_revision(if_match)
    replaced = service.replace(
        database, blobs, settings, slide_id, content, base_revision=base, by=user
    )
    return answer(response, replaced)


@router.get("/revisions")
def list_revisions(
    session: ReadSession, _: Viewer, slide_id: str, limit: Limit = 100, cursor: Cursor = None
) -> Page[RegionRevision]:
    """List who changed the regions and when, newest first."""
    slides.get(session, slide_id)
    rows, more = paginate(
        session,
        service.revisions(slide_id).order_by(None),
        RegionSet.id,
        limit=limit,
        cursor=cursor,
        newest_first=True,
    )
    return Page(items=[RegionRevision.of(row) for row in rows], next_cursor=more)


@router.put("/{region_id}")
def change_region(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    region_id: str,
    content: GeoJson,
    response: Response,
    if_match: IfMatch = None,
) -> RegionsOut:
    """Change one region's shape, kind or name; needs If-Match."""
    base = conditional.base_revision(if_match)
    changed = service.change(
        database, blobs, settings, slide_id, region_id, content, base_revision=base, by=user
    )
    return answer(response, changed)


@router.delete("/{region_id}")
def remove_region(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    region_id: str,
    response: Response,
    if_match: IfMatch = None,
) -> RegionsOut:
    """Take one region away; needs If-Match."""
    base = conditional.base_revision(if_match)
    removed = service.remove(
        database, blobs, settings, slide_id, region_id, base_revision=base, by=user
    )
    return answer(response, removed)
