"""Studies and adjudication over HTTP."""

from collections.abc import Iterator
from itertools import combinations, groupby
from operator import attrgetter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response, status

from backend.kit import conditional
from backend.kit.dependencies import (
    BlobStore,
    CurrentDatabase,
    CurrentSettings,
    ReadSession,
    WriteSession,
)
from backend.kit.paging import Page, Paged
from backend.kit.turns import InTurn
from backend.learning.annotations import masks
from backend.learning.annotations.routes import SecondsSpent, body_of
from backend.learning.annotations.tables import Annotation
from backend.learning.studies import adjudicating, agreement, service
from backend.learning.studies.adjudicating import Wish
from backend.learning.studies.agreement import Counts
from backend.learning.studies.schemas import (
    AdjudicationIn,
    AdjudicationOut,
    AgreementOut,
    PairAgreement,
    PatchAgreement,
    ReadingOut,
    StudyIn,
    StudyOut,
    StudySummary,
)
from backend.learning.studies.tables import Adjudication, Study, StudyState
from backend.people.users.guards import Admin, Pathologist, Viewer
from backend.slides.patches import images

router = APIRouter(tags=["studies"])
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}


@router.post("/studies", status_code=status.HTTP_201_CREATED)
def make_study(new: StudyIn, session: WriteSession, admin: Admin) -> StudyOut:
    """Have several people read the same patches, each blind to the others.

    The patches leave the queue. While the study is open nobody annotates them outside it.
    """
    study = service.make(
        session,
        by=admin,
        name=new.name,
        reader_ids=new.readers,
        patch_ids=sorted(new.patch_ids),
    )
    return StudyOut.shown(service.view(session, study, admin))


@router.get("/studies")
def list_studies(session: ReadSession, _: Viewer, page: Paged) -> Page[StudySummary]:
    """List the studies, newest first."""
    return page.newest(session, service.listing(), Study.id, StudySummary.model_validate)


@router.get("/studies/{study_id}")
def get_study(session: ReadSession, user: Viewer, study_id: str) -> StudyOut:
    """Show a study; readers see their own progress alone until it is closed."""
    return StudyOut.shown(service.view(session, service.get(session, study_id), user))


@router.post("/studies/{study_id}/close")
def close_study(session: WriteSession, admin: Admin, study_id: str) -> StudyOut:
    """End the reading: from now on all may compare, and nobody changes a mask."""
    study = service.close(session, study_id, by=admin)
    return StudyOut.shown(service.view(session, study, admin))


@router.put(
    "/studies/{study_id}/patches/{patch_id}/reading",
    responses={200: {"description": "It is there already."}, 201: {"model": ReadingOut}},
    openapi_extra={"requestBody": {"required": True, "content": {"image/png": {}}}},
)
def save_reading(
    database: CurrentDatabase,
    blobs: BlobStore,
    user: Pathologist,
    study_id: str,
    patch_id: str,
    response: Response,
    body: Annotated[bytes, Depends(body_of)],
    seconds_spent: SecondsSpent = None,
    if_match: conditional.IfMatch = None,
) -> ReadingOut:
    """Save one's own mask (PNG) of a patch; If-Match names one's last revision, "r0" at first."""
    base = conditional.base_revision(if_match)
    sha256 = blobs.put(masks.encode(masks.decode(body)))
    with database.writing() as session:
        reading, new = service.read(
            session,
            study_id,
            patch_id,
            by=user,
            base_revision=base,
            mask_sha256=sha256,
            seconds_spent=seconds_spent,
        )
        shown = ReadingOut.model_validate(reading)
    response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
    response.headers["ETag"] = conditional.revision_etag(shown.revision)
    return shown


@router.get(
    "/studies/{study_id}/patches/{patch_id}/readings/{reader_id}.png",
    response_class=Response,
    responses=PNG,
)
def get_reading(
    request: Request,
    session: ReadSession,
    blobs: BlobStore,
    user: Viewer,
    study_id: str,
    patch_id: str,
    reader_id: str,
) -> Response:
    """Return a reader's newest mask: one's own, or anybody's when the study is closed."""
    sha256 = service.reading_of(session, study_id, patch_id, reader_id, user).mask_sha256
    return conditional.picture(request, sha256, lambda: blobs.read(sha256))


@router.get("/studies/{study_id}/agreement")
def get_agreement(
    request: Request,
    database: CurrentDatabase,
    blobs: BlobStore,
    user: Viewer,
    study_id: str,
    _: InTurn,
) -> AgreementOut:
    """Compare the readers two by two, over all patches that both have read, and patch by patch."""
    overall: dict[tuple[str, str], tuple[Counts, int]] = {}
    listed = []
    for patch_id, read in masks_of(database, blobs, study_id):
        pairs = []
        for first, second in combinations(sorted(read), 2):
            counts = agreement.compared(read[first], read[second])
            before, number = overall.get((first, second), (Counts(), 0))
            overall[first, second] = before + counts, number + 1
            pairs.append(PairAgreement.of((first, second), counts, 1))
        address = request.app.url_path_for("get_disagreement", study_id=study_id, patch_id=patch_id)
        if pairs:
            listed.append(PatchAgreement(patch_id=patch_id, pairs=pairs, disagreement=str(address)))
    listed.sort(key=lambda each: -max(pair.differing_px for pair in each.pairs))
    pairs = [PairAgreement.of(pair, *sums) for pair, sums in sorted(overall.items())]
    return AgreementOut(pairs=pairs, patches=listed)


@router.get(
    "/studies/{study_id}/patches/{patch_id}/disagreement.png",
    response_class=Response,
    responses=PNG,
)
def get_disagreement(
    database: CurrentDatabase, blobs: BlobStore, user: Viewer, study_id: str, patch_id: str
) -> Response:
    """Return where the readers of a patch differ: 255, 127 where all ignored, else 0."""
    read = dict(masks_of(database, blobs, study_id, patch_id)).get(patch_id)
    if not read:
        raise service.ReadingNotFound("Nobody has read this patch.")
    return Response(images.png(agreement.disagreement(read.values())), media_type="image/png")


def masks_of(
    database: CurrentDatabase, blobs: BlobStore, study_id: str, patch_id: str | None = None
) -> Iterator[tuple[str, dict[str, masks.Mask]]]:
    """Yield each patch of a closed study with its masks by reader; raise StudyOpen.

    One patch's at a time: a study may have hundreds.
    """
    with database.reading() as session:
        study = service.get(session, study_id)
        if study.state != StudyState.CLOSED:
            raise service.StudyOpen("Masks are compared when the study is closed.")
        if patch_id is not None:
            service.require_in(session, study, patch_id)
        readings = service.all_newest(session, study_id)
    for read_id, of_patch in groupby(readings, key=attrgetter("patch_id")):
        if patch_id in {None, read_id}:
            yield (
                read_id,
                {each.reader_id: masks.decode(blobs.read(each.mask_sha256)) for each in of_patch},
            )


@router.post("/patches/{patch_id}/adjudication", status_code=status.HTTP_201_CREATED)
def adjudicate_patch(
    decided: AdjudicationIn,
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    patch_id: str,
    if_match: conditional.IfMatch = None,
) -> AdjudicationOut:
    """Decide a patch of a closed study: a reader's mask, or another, becomes its annotation.

    If-Match names the patch's revision, as in a save; 412 if somebody was faster.
    """
    base = conditional.base_revision(if_match)
    mask = masks.decode(decided.mask_png_base64) if decided.mask_png_base64 is not None else None
    wish = Wish(decided.study_id, decided.reader_id, mask, decided.comment, base)
    row, annotation = adjudicating.adjudicate(database, blobs, settings, patch_id, wish, by=user)
    return shown(row, annotation)


@router.delete("/patches/{patch_id}/adjudication")
def undo_adjudication(
    database: CurrentDatabase,
    blobs: BlobStore,
    settings: CurrentSettings,
    user: Pathologist,
    patch_id: str,
    if_match: conditional.IfMatch = None,
) -> AdjudicationOut:
    """Take a decision back: what was before is the newest revision again; both stay.

    If-Match names the patch's revision, as in a save; 412 if somebody was faster.
    """
    base = conditional.base_revision(if_match)
    row, annotation = adjudicating.undo(database, blobs, settings, patch_id, base, by=user)
    return shown(row, annotation)


def shown(row: Adjudication, annotation: Annotation) -> AdjudicationOut:
    columns = {
        name: getattr(row, name) for name in AdjudicationOut.model_fields if name != "revision"
    }
    return AdjudicationOut(**columns, revision=annotation.revision)
