"""Regions over HTTP: GeoJSON in level-0 px, in and out."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response, status
from fastapi.responses import JSONResponse

from backend.her2.regions import service
from backend.her2.regions.schemas import RegionRevision, RegionsOut
from backend.her2.regions.tables import RegionSet
from backend.kit import conditional
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings, ReadSession
from backend.kit.paging import Page, Paged
from backend.kit.turns import InTurn
from backend.people.users.guards import Pathologist, Viewer
from backend.slides.catalogue import frame
from backend.slides.catalogue import service as slides

router = APIRouter(prefix="/slides/{slide_id}/regions", tags=["her2"])
GeoJson = Annotated[Any, Body(description="A GeoJSON Feature or FeatureCollection of polygons.")]


def answer(response: Response, regions: service.Regions) -> RegionsOut:
    response.headers["ETag"] = regions.etag
    return RegionsOut.of(regions)


@router.get(
    "", response_model=RegionsOut, responses={200: {"content": {"application/geo+json": {}}}}
)
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
    regions = (
        service.current(session, blobs, slide_id)
        if revision is None
        else service.at_revision(session, blobs, slide_id, revision)
    )
    if not qupath:
        return answer(response, regions)
    whole = RegionsOut.of(regions).model_dump(mode="json")
    for feature in whole["features"]:
        del feature["properties"]["kind"]
    collection = frame.moved(whole, *frame.corner(regions.slide, settings))
    return JSONResponse(
        collection, headers={"ETag": regions.etag}, media_type="application/geo+json"
    )


def editor(
    _: InTurn,
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    if_match: conditional.IfMatch = None,
) -> service.Editor:
    base = None if if_match is None else conditional.base_revision(if_match)
    return service.Editor(database, blobs, settings, slide_id, user, base)


Adder = Annotated[service.Editor, Depends(editor)]


def of_revision(editor: Adder, if_match: conditional.IfMatch = None) -> service.Editor:
    """Return who changes the set that If-Match names; raise PreconditionRequired without one."""
    conditional.base_revision(if_match)
    return editor


Editor = Annotated[service.Editor, Depends(of_revision)]


@router.post("", status_code=status.HTTP_201_CREATED)
def add_regions(editor: Adder, content: GeoJson, response: Response) -> RegionsOut:
    """Add regions (property `kind`: tumour, exclude or artefact); others' stay as they are.

    An export of QuPath is taken too (Tumor, Ignore*); what it holds besides is listed as left.
    """
    return answer(response, editor.add(content))


@router.put("")
def replace_regions(editor: Editor, content: GeoJson, response: Response) -> RegionsOut:
    """Replace the whole set; needs If-Match, and older revisions stay."""
    return answer(response, editor.replace(content))


@router.get("/revisions")
def list_revisions(
    session: ReadSession, _: Viewer, slide_id: str, page: Paged
) -> Page[RegionRevision]:
    """List who changed the regions and when, newest first."""
    slides.get(session, slide_id)
    revisions = service.revisions(slide_id).order_by(None)
    return page.newest(session, revisions, RegionSet.id, RegionRevision.model_validate)


@router.put("/{region_id}")
def change_region(
    editor: Editor, region_id: str, content: GeoJson, response: Response
) -> RegionsOut:
    """Change one region's shape, kind or name; needs If-Match."""
    return answer(response, editor.change(region_id, content))


@router.delete("/{region_id}")
def remove_region(editor: Editor, region_id: str, response: Response) -> RegionsOut:
    """Take one region away; needs If-Match."""
    return answer(response, editor.remove(region_id))
