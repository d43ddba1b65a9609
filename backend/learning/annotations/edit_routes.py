"""Edits over HTTP: tiles painted together, and a patch that is said to be complete."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.kit import conditional
from backend.kit.dependencies import BlobStore, CurrentDatabase, CurrentSettings
from backend.learning.annotations import completing, edits, routes
from backend.learning.annotations.completing import Unseen
from backend.learning.annotations.edit_schemas import EditIn, EditSaved, TileSaved
from backend.learning.annotations.routes import SecondsSpent
from backend.learning.annotations.schemas import Saved
from backend.people.users.guards import Pathologist

router = APIRouter(tags=["annotations"])


@router.post(
    "/slides/{slide_id}/edits",
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": EditSaved, "description": "Sent again: it was saved before."}},
)
def save_edit(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    slide_id: str,
    edit: EditIn,
    response: Response,
) -> EditSaved:
    """Save several tiles at once, each as its next revision: all of them, or none.

    412 lists in `tiles` those that somebody else has changed, with their present revision. A tile
    where the slide has no patch gets one. A tile with pixels that nobody has looked at (63) is
    `partial`: it teaches by what is painted, and counts for nothing until it is complete.
    """
    wanted = edit.edit()
    with database.reading() as session:
        prepared = edits.prepare(session, blobs, settings, slide_id, wanted)
    with database.writing() as session:
        written = edits.submit(session, settings, prepared, by=user)
        saved = EditSaved(tiles=[TileSaved.of(each) for each in written])
    if not any(each.written.new for each in written):
        response.status_code = status.HTTP_200_OK
    return saved


@router.post("/patches/{patch_id}/complete")
def complete_patch(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    patch_id: str,
    response: Response,
    unseen: Annotated[
        Unseen,
        Query(
            description="What is shown where nobody has looked, and becomes the mask there: the "
            "proposal, where there is one, or background."
        ),
    ] = Unseen.PROPOSAL,
    seconds_spent: SecondsSpent = None,
    model_version: Annotated[
        str | None,
        Query(description="Whose proposal is shown; without it the one that the patch shows now."),
    ] = None,
    if_match: conditional.IfMatch = None,
) -> Saved:
    """Say that a patch is complete: everything unseen in it becomes what is shown.

    Only complete patches count for rounds, gold and reports.
    """
    base = conditional.base_revision(if_match)
    with database.reading() as session:
        if written := completing.already(session, patch_id, base):
            routes.tell_revision(response, written)
            return routes.saved_of(session, written, user)
    draft = completing.draft_of(
        database,
        blobs,
        settings,
        patch_id,
        base_revision=base,
        unseen=unseen,
        model_version_id=model_version,
        seconds_spent=seconds_spent,
    )
    return routes.save(database, blobs, settings, patch_id, draft, user, response)
